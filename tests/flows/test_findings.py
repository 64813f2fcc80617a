"""Two findings on the same images: each a study of its own, and one page about both."""

from collections.abc import Mapping
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from curette.flows.display import print_findings
from curette.flows.family import FamilyResult, run_findings
from curette.flows.findings import findings
from curette.flows.runs import MetricValue, RunResult, start
from curette.flows.sequence import remembered
from curette.flows.stages import RunOptions
from curette.flows.study_file import load_study, one_study
from curette.schemas.artifact import Ref, StudyError
from curette.schemas.findings import Findings
from curette.schemas.images import ImageDataset
from curette.schemas.study import Study
from curette.storage.ledger import TestLedger, digest_of_labels
from curette.storage.store import ArtifactStore
from tests.builders.chest import write_chest
from tests.builders.demo import DEMO

TWO = "dataset.findings={ruler: ruler, hair: {name: hair, synonyms: [hairs]}}"


def test_a_study_of_several_findings_names_the_cure_where_one_is_needed() -> None:
    family = load_study(DEMO, [TWO, "external=[]"])
    with pytest.raises(StudyError, match=r"demo has 2 findings.*--finding \(ruler, hair\)"):
        one_study(family)
    with pytest.raises(StudyError, match="2 findings"):
        start(family, RunOptions())
    with pytest.raises(StudyError, match="no finding ink; it has ruler, hair"):
        one_study(family, "ink")
    with pytest.raises(StudyError, match=r"no finding ink; .dataset.findings. names none"):
        one_study(load_study(DEMO), "ink")
    own = one_study(family, "hair")
    assert own.name == "demo-hair"
    assert one_study(own, "hair") == own == Study.model_validate(own.model_dump())
    assert not own.by_finding


def test_a_study_of_one_label_says_nothing_of_findings() -> None:
    spec = load_study(DEMO).dataset.model_dump(mode="json")
    assert not {key for key in spec if key.startswith("finding")}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("dataset.classes={a: A, b: B}", "leave `classes` and `labels` out"),
        ("dataset.attributes=[ruler]", "ruler is a finding and among `attributes`"),
        ("dataset.finding=ink", "finding 'ink' is none of `findings`"),
        ("dataset.finding_labels={others: [none]}", "name what parts them"),
        ("dataset.findings={a b: x, a-b: y}", "becomes 'a-b' in the name of its study"),
        ("external.0.dataset.findings={hair: hair}", "does not say how ruler is told there"),
    ],
)
def test_settings_that_do_not_fit_findings_are_refused(override: str, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        load_study(DEMO, [TWO, *([] if "external" in override else ["external=[]"]), override])


def test_the_terminal_has_a_row_a_finding_of_three_heads() -> None:
    names = ("concept bottleneck", "concept bottleneck, grounded", "random concepts (mean of 5)")
    metrics = {
        name: {"macro_auroc": MetricValue(value=v, low=v - 0.1, high=v)}
        for name, v in zip(names, (0.9, 0.6, 0.7), strict=True)
    }
    run = RunResult(study="chest-mass", stages=(), metrics=metrics)
    console = Console(record=True, file=StringIO())
    print_findings(console, FamilyResult(study="chest", findings={"mass": run}, page="p.html"), 0)
    row = next(line for line in console.export_text().split("\n") if "mass" in line)
    assert row.split() == ["mass", "0.900", "[0.800,", "0.900]", "–", "0.700", "[0.600,", "0.700]"]


@pytest.mark.slow
def test_findings_share_splits_and_vectors_and_stand_on_one_page(
    tmp_path: Path, prefect_server: None
) -> None:
    study = load_study(write_chest(tmp_path / "data"))
    options = RunOptions(store=tmp_path / "store")
    vectors = options.store / "vectors"

    made = findings(study, store=str(options.store))

    store = ArtifactStore(options.store)
    datasets = {
        key: store.load(ImageDataset, result.made[ImageDataset.kind])
        for key, result in made.findings.items()
    }
    both = datasets["Blue Veil"].images.merge(datasets["Vessels"].images, on="image_id")
    assert len(both) == len(datasets["Blue Veil"]) == len(datasets["Vessels"]) - 2
    assert both["split_x"].equals(both["split_y"])
    assert [r.reason for r in datasets["Blue Veil"].rejected] == ["unclear-finding"] * 2
    embedded = [len(np.load(file)) for file in vectors.glob("*/*.npy")]
    assert sum(embedded) == len(datasets["Vessels"]), "of an image that both have there is one"
    assert made.page
    page = Path(made.page)
    ref: Ref[Findings] = Ref(Findings.kind, page.parent.name)
    facts = store.load(Findings, ref).facts
    assert [row.left_out for row in facts.rows] == [2, 0]
    assert {row.report for row in facts.rows} == {
        f"{ref.kind}/{ref.digest}" for r in made.findings.values() for ref in [r.made["report"]]
    }
    assert all((page.parent / f"../../{row.report}/report.html").is_file() for row in facts.rows)
    for dataset in datasets.values():
        looks = TestLedger(store.root).readings(digest_of_labels(dataset.test_labels, store))
        assert [look.asked.split()[0] for look in looks] == ["every", "3"]
    assert all(not row.readings for row in facts.rows)

    def only_found(studies: Mapping[str, Study], options: RunOptions) -> dict[str, RunResult]:
        found = {key: remembered(one, options) for key, one in studies.items()}
        return {key: result for key, result in found.items() if result}

    assert run_findings(study, options, only_found).page == made.page
