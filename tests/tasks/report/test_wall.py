"""The wall of images shows what may be shown, filters by all it says, and opens each decision."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curette.schemas.evaluation import Evaluation
from curette.schemas.heads import EXPLAINED
from curette.schemas.report import BESIDE, Report
from curette.schemas.settings.report import ReportSpec
from curette.tasks.methods.page.pictures import PictureBook
from curette.tasks.report.map import WIDE
from curette.tasks.report.material import Draft, Material
from curette.tasks.report.page import compose_page
from curette.tasks.report.render import render_page
from curette.tasks.report.sections import images
from tests.browser import OpenPage, needs_browser, opened
from tests.pages import HOSTILE, check_asks_nobody, check_only_our_script_runs
from tests.tasks.report.test_report import _png, guarded, material

__all__ = ["material"]


@pytest.fixture(scope="module")
def told(material: Material) -> dict[str, Any]:
    made = images.compose(Draft(material, ReportSpec(), PictureBook(_png, 32)))
    assert made is not None
    return made


def test_every_image_of_known_label_is_there_once_and_test_images_as_the_evaluation_told(
    material: Material, told: dict[str, Any]
) -> None:
    evaluation = material.evaluation
    assert isinstance(evaluation, Evaluation)
    table = material.published.images
    counts = table["split"].value_counts()
    shown = [x["data"]["split"] for x in told["figures"]]
    assert {s: shown.count(s) for s in set(shown)} == counts.to_dict()
    assert len({x["alt"] for x in told["figures"]}) == len(table)
    [matrix] = [
        c.confusion
        for c in evaluation.curves
        if c.head == material.probe.head(EXPLAINED).facts.name
    ]
    tests = [x["data"] for x in told["figures"] if x["data"]["split"] == "test"]
    for i, row in enumerate(matrix):
        for j, count in enumerate(row):
            assert sum((x["label"], x["decided"]) == (i, j) for x in tests) == count
            anchors = [x["anchor"] for x in told["figures"] if x["anchor"] == f"cell-{i}-{j}"]
            assert len(anchors) == (count > 0)


def test_what_the_reusable_holdout_keeps_is_not_on_the_wall(material: Material) -> None:
    behind = replace(material, evaluation=guarded(material))
    made = images.compose(Draft(behind, ReportSpec(), PictureBook(_png, 32)))
    assert made is not None
    assert {x["data"]["split"] for x in made["figures"]} == {"validation", "train"}
    assert not made["box"]
    assert not made["subgroups"], "which are told of test images"


def test_subgroups_are_those_that_the_evaluation_found_large_enough(
    material: Material, told: dict[str, Any]
) -> None:
    [sexes] = told["subgroups"]
    assert {v["name"] for v in sexes["named"]} == {"male", HOSTILE}
    of_image = {"0-0", "0-1"}
    assert all(x["data"]["groups"] in of_image for x in told["figures"])


def test_a_study_can_do_without_the_wall(material: Material) -> None:
    page = compose_page(material, ReportSpec(wall=False), PictureBook(_png, 32))
    html = render_page(page)
    assert 'id="wall"' not in html
    assert 'href="#cell' not in html
    assert not {"wall", "in_one_file"} & set(ReportSpec().model_dump()), "no study's key changes"


def test_more_images_than_one_file_takes_lie_beside_it(material: Material, tmp_path: Path) -> None:
    page = compose_page(material, ReportSpec(in_one_file=100), PictureBook(_png, 32))
    html = render_page(page)
    names = [f"{BESIDE}/{name}" for name in page["sheets"]]
    check_asks_nobody(html, "data_docs.html", *names)
    assert all(f"url({name})" in html for name in names)
    report = Report(html, "", page["sheets"])
    report.write(tmp_path)
    assert Report.read(tmp_path) == report
    assert sorted(p.name for p in (tmp_path / BESIDE).iterdir()) == sorted(page["sheets"])
    check_asks_nobody(report.in_one_file, "data_docs.html")


# --- in a browser -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenPage]:
    folder = tmp_path_factory.mktemp("wall")
    mapped = replace(material, places=np.random.default_rng(0).random((180, 2)))
    html = render_page(compose_page(mapped, ReportSpec(), PictureBook(_png, 32)))
    check_only_our_script_runs(html)
    (folder / "report.html").write_text(html, encoding="utf-8")
    with opened((folder / "report.html").as_uri(), folder / "profile") as page:
        yield page


def _shown(browser: OpenPage) -> list[dict[str, str]]:
    """Return what is known of the images that are not filtered away, in their order."""
    found: list[dict[str, str]] = browser.js(
        "[...document.querySelectorAll('#wall > figure')].filter((f) => !f.hidden)"
        ".map((f) => ({...f.dataset}))"
    )
    return found


def _choose(browser: OpenPage, **chosen: str) -> None:
    for name, value in chosen.items():
        browser.js(
            f"(() => {{ const s = document.querySelector('#filters [name={name}], "
            f"#filters [data-{name}]'); s.value = '{value}'; "
            "s.dispatchEvent(new Event('change', {bubbles: true})); "
            "s.dispatchEvent(new Event('input', {bubbles: true})); })()"
        )


@needs_browser
def test_filters_leave_what_fits_all_of_them(browser: OpenPage, told: dict[str, Any]) -> None:
    everything = [x["data"] for x in told["figures"]]
    assert len(_shown(browser)) == sum(x["split"] == "test" for x in everything), "at first"
    _choose(browser, split="", verdict="wrong", groups="0-1")
    wanted = [x for x in everything if (x["verdict"], x["groups"]) == ("wrong", "0-1")]
    assert 0 < len(_shown(browser)) == len(wanted)
    said = browser.js("document.querySelector('#filters output').textContent")
    assert said == f"{len(wanted)} of {len(everything)}"
    _choose(browser, order="up")
    sure = [float(x["sure"]) for x in _shown(browser)]
    assert sure == sorted(sure)
    browser.js("document.querySelector('#filters [type=reset]').click()")
    assert len(_shown(browser)) == len(everything)
    assert browser.errors == []


@needs_browser
def test_a_cell_of_the_confusion_matrix_opens_its_images(browser: OpenPage) -> None:
    cells = "[...document.querySelectorAll('a[data-opens*=decided]')]"
    count = browser.js(f"{cells}.length")
    assert count
    for at in range(count):
        number = browser.js(f"(() => {{ const a = {cells}[{at}]; a.click(); return a.text; }})()")
        shown = _shown(browser)
        assert len(shown) == int(number)
        assert len({(x["label"], x["decided"], x["split"]) for x in shown}) == 1
        target = browser.js("document.querySelector(location.hash).dataset.label")
        assert target == shown[0]["label"]
    assert browser.errors == []


@needs_browser
def test_an_image_opens_its_decision_by_mouse_and_by_keyboard(
    browser: OpenPage, material: Material
) -> None:
    browser.js("document.querySelector('#filters [type=reset]').click()")
    _choose(browser, split="test", order="")
    shown = _shown(browser)
    browser.js("document.querySelector('#wall > figure:not([hidden]) .sprite').click()")
    names = [c.name for c in material.published.facts.classes]
    card = "document.querySelector('#opened').innerText"
    assert browser.js(card).count(names[int(shown[0]["decided"])])
    assert f"{float(shown[0]['sure']):.0%}" in browser.js(card)
    bars = len(shown[0]["decision"].split("|")[5].split(","))
    assert browser.js("document.querySelectorAll('#opened tbody tr').length") == bars
    assert browser.js("document.querySelectorAll('#opened .alike figure').length") == 3
    browser.press("ArrowRight")
    assert f"{float(shown[1]['sure']):.0%}" in browser.js(card)
    browser.press("Escape")
    assert not browser.js("document.querySelector('#opened').open")
    focused = "document.activeElement.parentElement.dataset.decision"
    assert browser.js(focused) == shown[1]["decision"], "one goes on where one was"
    browser.press("ArrowRight")
    assert browser.js(focused) == shown[2]["decision"]
    browser.press("Enter")
    assert browser.js("document.querySelector('#opened').open")
    assert browser.js("document.querySelectorAll('#opened script, #opened img').length") == 0
    browser.press("Escape")
    assert browser.errors == []


@needs_browser
def test_a_region_of_the_map_is_one_more_filter(browser: OpenPage) -> None:
    browser.js("document.querySelector('#filters [type=reset]').click()")
    everything = _shown(browser)
    # What comes into view is laid out with the next frame, and moves what stands around it.
    browser.js(
        "new Promise((done) => { let frames = 20; const settle = () => {"
        " document.querySelector('#map svg').scrollIntoView({behavior: 'instant'});"
        " if (frames--) requestAnimationFrame(settle); else done(); }; settle(); })"
    )
    left, top, wide, high = browser.js(
        "(() => { const r = document.querySelector('#map svg').getBoundingClientRect();"
        " return [r.left, r.top, r.width, r.height]; })()"
    )
    for kind, x, y in (
        ("mousePressed", 0.0, 0.0),
        ("mouseMoved", 0.5, 0.5),
        ("mouseReleased", 0.5, 0.5),
    ):
        browser.call(
            "Input.dispatchMouseEvent",
            type=kind,
            x=left + 1 + x * wide,
            y=top + 1 + y * high,
            button="left",
            buttons=int(kind != "mouseReleased"),
            clickCount=1,
        )
    assert browser.js("document.querySelector('#region').getAttribute('visibility')") == "visible"
    x0, y0, across, down = browser.js(
        "['x', 'y', 'width', 'height'].map((n) => "
        "Number(document.querySelector('#region').getAttribute(n)))"
    )
    assert across == pytest.approx(WIDE / 2, rel=0.1), "as far as it was dragged"
    at = [[float(v) for v in x["at"].split()] for x in everything]
    inside = [(x, y) for x, y in at if x0 <= x <= x0 + across and y0 <= y <= y0 + down]
    assert 0 < len(_shown(browser)) == len(inside) < len(everything)
    browser.js("document.querySelector('#map').focus()")
    browser.press("Escape")
    assert len(_shown(browser)) == len(everything)
    browser.press("ArrowRight")
    assert 0 < len(_shown(browser)) < len(everything), "by the keyboard alone"
    browser.press("Escape")
    assert browser.errors == []
