"""`curette adapt` on a small demo: kept beside the probe, measured, written down, or refused."""

from pathlib import Path

import numpy as np
import pytest

from curette.flows.adapt import adapt
from curette.flows.adaptation import Wanted, adapt_to_site, open_support
from curette.flows.explain import explained_head, with_heads_alone
from curette.flows.runs import RunResult
from curette.flows.sequence import adaptations_of
from curette.flows.stages import RunOptions
from curette.flows.study import study
from curette.flows.study_file import load_study
from curette.schemas.adaptation import Adaptation, AdaptationResult
from curette.schemas.artifact import Ref, StudyError
from curette.schemas.images import ImageDataset, TestLabels
from curette.schemas.probe import Heads
from curette.schemas.study import Study
from curette.storage.store import ArtifactStore
from curette.tasks.adapt.support import Listed
from tests.builders.demo import DEMO, SMALL
from tests.builders.finished import FinishedStudy
from tests.pages import check_asks_nobody

NOBODY = Wanted("lamp", (Listed("x", ""),))


def _never(study: Study, options: RunOptions) -> RunResult:
    raise AssertionError("nothing is run for a question that is wrong already")


def test_without_its_shifts_a_study_takes_in_and_selects_the_same() -> None:
    chosen = load_study(DEMO, list(SMALL))
    alone = with_heads_alone(chosen)
    assert not alone.shifts
    assert alone.selection == chosen.selection
    assert alone.selection.avoid == ("ruler",)
    source = {"kind": "folder", "path": "."}
    on_files = chosen.dataset.model_validate({"source": source, "metadata": ["age"]})
    kept = chosen.model_copy(update={"dataset": on_files})
    assert with_heads_alone(kept).kept_dataset == kept.kept_dataset


def test_a_site_that_is_not_there_is_refused_before_anything_runs() -> None:
    chosen = load_study(DEMO, list(SMALL))
    wanted = Wanted("lamb", NOBODY.support)
    with pytest.raises(StudyError, match="no external dataset 'lamb'; it has lamp"):
        adapt_to_site(chosen, RunOptions(), wanted, _never)
    with pytest.raises(StudyError, match="it has none"):
        adapt_to_site(chosen.model_copy(update={"external": ()}), RunOptions(), NOBODY, _never)


def test_behind_a_holdout_no_head_is_adapted() -> None:
    chosen = load_study(DEMO, [*SMALL, "evaluate.thresholdout={budget: 3}"])
    with pytest.raises(StudyError, match="behind a reusable holdout"):
        adapt_to_site(chosen, RunOptions(), NOBODY, _never)


def test_a_list_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="cannot read the list"):
        open_support(tmp_path / "absent.csv")


@pytest.mark.slow
def test_a_head_is_adapted_kept_measured_and_written_down(
    finished: FinishedStudy, tmp_path: Path
) -> None:
    chosen, copy = load_study(DEMO, list(SMALL)), finished.copied_to(tmp_path / "store")
    store, options = ArtifactStore(copy.store), RunOptions(store=copy.store)
    stages = [s for s in copy.result.stages if s.external == "lamp" and s.name == "ingest"]
    lamp = store.load(ImageDataset, Ref.parse(stages[0].ref))
    labels = store.load(TestLabels, lamp.test_labels).labels
    shown = lamp.images.assign(label=lamp.images["image_id"].map(labels))
    groups: set[str] = set()
    listed: list[Listed] = []
    # Of each class an image of another person; the class that fewest people show goes first.
    for label in shown.groupby("label")["group"].nunique().sort_values(kind="stable").index:
        others = shown[(shown["label"] == label) & ~shown["group"].isin(groups)]
        groups.add(others["group"].iloc[0])
        listed.append(Listed(others["image_id"].iloc[0], str(label)))
    wanted = Wanted("lamp", tuple(listed), editor="Dr. A")
    probes = {p.name for p in (store.root / Heads.kind).iterdir()}
    made = adapt_to_site(chosen, options, wanted, study)
    assert {p.name for p in (store.root / Heads.kind).iterdir()} == probes
    assert store.load(Adaptation, made.ref).facts == made.adaptation.facts
    assert [p.name for p in (store.root / AdaptationResult.kind).iterdir()]
    assert made.result.left_out >= len(listed)
    (found,) = adaptations_of(made.adaptation.probe, store)
    assert store.load(AdaptationResult, found).adaptation == str(made.ref)
    assert adaptations_of(Ref(Heads.kind, "0" * 20), store) == ()
    check_asks_nobody(made.html)
    assert "nothing           loss" in made.told
    digest = "".join(f.sha256 for f in store.manifest(lamp.test_labels).files.values())
    ledger = (store.root / "test-looks" / f"{digest}.jsonl").read_text()
    assert f"{len(listed)} support images, to adapt a head by" in ledger
    assert ledger.index("support images") < ledger.index("before and after it was adapted")
    again = adapt(
        "lamp", tuple(x.image_id for x in listed), chosen, editor="Dr. A", store=str(copy.store)
    )
    assert again == str(made.ref), "the same question has the same answer"

    _, trained = explained_head(chosen, options, study)
    _, adapted = explained_head(chosen, options, study, again)
    assert adapted.facts.edits[-1].startswith("adapted to lamp")
    assert np.array_equal(adapted.weights, made.adaptation.weights)
    assert np.array_equal(adapted.center, trained.center)
    for wrong, said in (("lamp", "is no adaptation"), (f"adaptation/{'0' * 20}", "is not in the")):
        with pytest.raises(StudyError, match=said):
            explained_head(chosen, options, study, wrong)
    assert explained_head(chosen, options, study, kind="sparse")[1].facts.kind == "sparse"
    with pytest.raises(
        StudyError, match=r"no head 'majority' .* alone; concept_bottleneck, sparse"
    ):
        explained_head(chosen, options, study, kind="majority")
    other = chosen.model_copy(update={"probe": chosen.probe.model_copy(update={"seed": 9})})
    with pytest.raises(StudyError, match="Adapt that one"):
        explained_head(other, options, study, again)
