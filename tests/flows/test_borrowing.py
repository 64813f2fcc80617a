"""Directions are borrowed of what another study's run would find again, and of nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from curette.flows.sequence import borrow, refuse_teachers, whole_study
from curette.flows.stages import RunOptions, Stages, only_remembered
from curette.flows.study_file import load_study, settings_of
from curette.schemas.artifact import Recipe, Ref, StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.concepts import Concept
from curette.schemas.external import ExternalImages
from curette.schemas.heads import BORROWED
from curette.schemas.probe import Heads
from curette.schemas.settings.probe import ProbeSpec
from curette.storage.store import ArtifactStore
from curette.storage.studies import StudyShelf
from curette.tasks.probe.task import train_probe
from curette.tasks.stage import Workplace
from tests.builders.demo import DEMO, SMALL
from tests.builders.finished import FinishedStudy

FROM = (
    "probe={nec: [], random_draws: 1, heads: [], l2_values: [1.0], residual_l2_values: [1.0], "
    "grounding: {from: demo}}"
)
CLINIC = load_study(DEMO, [*SMALL, "name=clinic", FROM])


def _stages(store: Path) -> Stages:
    return Stages(CLINIC, RunOptions(store=store))


def test_a_lender_that_was_not_run_is_told_with_the_command(tmp_path: Path) -> None:
    options = RunOptions(store=tmp_path)
    with pytest.raises(StudyError, match=r"no study demo was run .*`curette run demo`"):
        whole_study(CLINIC, options)
    with pytest.raises(StudyError, match="demo is this study itself"):
        whole_study(CLINIC.model_copy(update={"name": "demo"}), options)
    assert not list(tmp_path.glob("image-dataset/*")), "it is said before anything is done"


def test_a_study_that_borrows_is_read_again_from_its_settings() -> None:
    settings = settings_of(CLINIC)
    assert settings["probe"]["grounding"] == {"from": "demo"}
    assert type(CLINIC).model_validate(settings) == CLINIC
    assert ProbeSpec.model_validate_json(CLINIC.probe.model_dump_json()) == CLINIC.probe


def test_what_the_lender_published_last_is_found_and_none_of_it_is_run(
    finished: FinishedStudy,
) -> None:
    (published,) = (s.ref for s in finished.result.stages if s.name == "publish")
    stages = _stages(finished.store)
    assert str(borrow(CLINIC, stages)) == published
    assert stages.records == []
    assert not only_remembered.get()
    plain = CLINIC.model_copy(update={"probe": ProbeSpec()})
    assert borrow(plain, stages) is None


def _of_labelled_concepts(lender: ConceptDataset) -> ConceptDataset:
    """Return another study on other images whose concepts the lender's columns decide."""
    labelled = {x.concept_id for x in lender.facts.labelled}
    rows = [i for i, c in enumerate(lender.pool) if c.concept_id in labelled]
    pool = [lender.pool[i] for i in rows]
    concepts = tuple(
        Concept(
            concept_id=c.concept_id,
            text=c.text,
            classes=c.classes,
            selected_for=c.classes,
            discriminability=0,
            origins=c.origins,
        )
        for c in pool
    )
    return replace(
        lender,
        facts=lender.facts.model_copy(update={"name": "clinic"}),
        images=lender.images.assign(sha256=lender.images["sha256"].str[::-1]),
        concepts=concepts,
        scores=lender.vectors @ lender.pool_vectors[rows].T,
    )


def test_heads_rest_on_the_lender_and_on_what_it_published(
    finished: FinishedStudy, tmp_path: Path
) -> None:
    copy = finished.copied_to(tmp_path / "store")
    store, bank = ArtifactStore(copy.store), borrow(CLINIC, _stages(copy.store))
    assert bank
    own = _of_labelled_concepts(store.load(ConceptDataset, bank))
    published: Ref[ConceptDataset] = store.save(own, Recipe(stage="made", code=""))
    ref = train_probe.fn(Workplace(store), published, CLINIC.probe, bank=bank)
    assert store.manifest(ref).recipe.inputs == {"published": str(published), "bank": str(bank)}
    heads = store.load(Heads, ref)
    assert heads.borrowed
    assert heads.borrowed.study == "demo"
    assert heads.head(BORROWED).directions is not None
    assert train_probe.fn(Workplace(store), published, CLINIC.probe, bank=bank) == ref


def test_another_dataset_whose_images_taught_is_refused(finished: FinishedStudy) -> None:
    store, bank = ArtifactStore(finished.store), borrow(CLINIC, _stages(finished.store))
    assert bank
    by_title = {s.title: Ref.parse(s.ref) for s in finished.result.stages}
    lamp = ExternalImages(
        name="lamp",
        dataset=by_title["ingest (lamp)"],
        vectors=by_title["embed (lamp)"],
        pretraining_covers="no",
        near_duplicate_cosine=1,
    )
    refuse_teachers([lamp], bank, store)
    again = replace(lamp, name="again", dataset=by_title["ingest"])
    with pytest.raises(StudyError, match=r"external dataset again: \d+ of its images are training"):
        refuse_teachers([lamp, again], bank, store)


@pytest.mark.parametrize(
    ("change", "stage"), [("dataset.source.seed=1", "ingest"), ("select.size=3", "select")]
)
def test_a_lender_that_has_something_left_to_run_is_told(
    finished: FinishedStudy, tmp_path: Path, change: str, stage: str
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    for part in finished.store.iterdir():
        if part.name != "studies":
            (store / part.name).symlink_to(part)
    shelf = StudyShelf(store)
    shelf.keep("demo", settings_of(load_study(DEMO, [*SMALL, change])))
    with pytest.raises(StudyError, match=f"demo is not finished .* its stage {stage} is to be run"):
        borrow(CLINIC, _stages(store))
    assert not only_remembered.get()
    shelf.keep("demo", settings_of(load_study(DEMO, [*SMALL, "probe.epochs=7"])))
    (published,) = (s.ref for s in finished.result.stages if s.name == "publish")
    assert str(borrow(CLINIC, _stages(store))) == published, "its heads teach nothing"
