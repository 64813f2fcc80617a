"""The documents say what is so: links lead somewhere, the study loads, no stage is left out."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from curette.flows.settings_page import settings_page
from curette.flows.study_file import load_study
from curette.tasks.stage import stage_names

PROJECT = Path(__file__).parents[1]
README = PROJECT / "README.md"
PAGES = [README, *(PROJECT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md"))]
PAGES += sorted((PROJECT / "docs").rglob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(PROJECT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    targets = re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text)
    for target in (first or second for first, second in targets):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings]


def test_the_readmes_study_is_right(tmp_path: Path) -> None:
    block = re.search(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)
    assert block is not None
    (tmp_path / "study.yaml").write_text(block[1])
    assert load_study(tmp_path / "study.yaml").name == "my-study"


def test_the_readme_can_be_read_in_one_go() -> None:
    assert len(README.read_text().splitlines()) < 200


def test_the_page_of_stages_names_every_stage() -> None:
    page = (PROJECT / "docs" / "stages.md").read_text()
    named = set(re.findall(r"`(\w+)`", page))
    assert {name.partition(" ")[0] for name in stage_names()} <= named


def test_every_page_stands_in_the_sites_navigation() -> None:
    listed = re.findall(r"[\w/-]+\.md", (PROJECT / "mkdocs.yml").read_text())
    pages = sorted(p.relative_to(PROJECT / "docs").as_posix() for p in PAGES[3:])
    assert sorted(listed) == pages


@pytest.mark.parametrize("page", ["settings", "commands"])
def test_the_reference_is_what_the_code_says(page: str) -> None:
    written = (PROJECT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    # In a process of its own: other tests define gates, which stay defined.
    command = [sys.executable, "-m", f"curette.flows.{page}_page"]
    printed = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert written == printed.stdout, f"run: {' '.join(command[1:])} > docs/{page}.md"


def test_every_setting_says_what_it_means() -> None:
    rows = [line for line in settings_page().splitlines() if line.startswith("| `")]
    assert len(rows) > 150
    assert not [row for row in rows if row.endswith("|  |")]
