"""Directions are borrowed of what another study's run would find again, and of nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from curette.flows.sequence import borrow, refuse_teachers, whole_study
from curette.flows.stages import RunOptions, Stages, only_remembered
from curette.flows.study_file import load_study, settings_of
from curette.schemas.artifact import Recipe, Ref, StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.external import ExternalImages
from curette.schemas.heads import BORROWED
from curette.schemas.images import ImageDataset
from curette.schemas.lender import Lender
from curette.schemas.probe import Heads
from curette.schemas.settings.probe import ProbeSpec
from curette.schemas.validation import ValidatedConceptDataset
from curette.storage.store import ArtifactStore
from curette.storage.studies import StudyShelf
from curette.tasks.probe.task import train_probe
from curette.tasks.stage import Workplace
from tests.builders.demo import DEMO, SMALL
from tests.builders.finished import FinishedStudy
from tests.builders.screened import as_selected

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


def _lent(finished: FinishedStudy) -> Lender:
    made = {s.title: s.ref for s in finished.result.stages}
    return Lender("demo", Ref.parse(made["ingest"]), Ref.parse(made["embed"]))


def test_the_lenders_images_are_found_as_they_were_last_and_none_of_it_is_run(
    finished: FinishedStudy,
) -> None:
    stages = _stages(finished.store)
    assert borrow(CLINIC, stages) == _lent(finished)
    assert stages.records == []
    assert not only_remembered.get()
    plain = CLINIC.model_copy(update={"probe": ProbeSpec()})
    assert borrow(plain, stages) is None


def _of_labelled_concepts(store: ArtifactStore, made: Ref[ConceptDataset]) -> Ref[ConceptDataset]:
    """Save another study, on other images, whose concepts the lender's columns decide."""
    kept, lender = Recipe(stage="made", code=""), store.load(ConceptDataset, made)
    labelled = {x.concept_id for x in lender.facts.labelled}
    rows = [i for i, c in enumerate(lender.pool) if c.concept_id in labelled]
    concepts = tuple(as_selected(lender.pool[i]) for i in rows)
    images = lender.images.assign(sha256=lender.images["sha256"].str[::-1])
    passed = store.load(ValidatedConceptDataset, lender.validated_ref)
    dataset = store.load(ImageDataset, passed.dataset_ref)
    taken_in = dataset.images.assign(sha256=dataset.images["sha256"].str[::-1])
    moved = store.save(replace(dataset, images=taken_in), kept)
    validated = store.save(passed.model_copy(update={"dataset": moved.digest}), kept)
    facts = {"name": "clinic", "validated": validated.digest}
    own = replace(
        lender,
        facts=lender.facts.model_copy(update=facts),
        images=images,
        concepts=concepts,
        scores=lender.vectors @ lender.pool_vectors[rows].T,
    )
    return store.save(own, kept)


def test_heads_rest_on_the_lenders_images_and_vectors(
    finished: FinishedStudy, tmp_path: Path
) -> None:
    copy = finished.copied_to(tmp_path / "store")
    store, lender = ArtifactStore(copy.store), borrow(CLINIC, _stages(copy.store))
    assert lender
    (made,) = (s.ref for s in finished.result.stages if s.name == "publish")
    published = _of_labelled_concepts(store, Ref.parse(made))
    ref = train_probe.fn(Workplace(store), published, CLINIC.probe, lender=lender)
    assert store.manifest(ref).recipe.inputs == {
        "published": str(published),
        "lender dataset": str(lender.dataset),
        "lender vectors": str(lender.vectors),
    }
    heads = store.load(Heads, ref)
    assert heads.borrowed
    assert heads.borrowed.study == "demo"
    assert not heads.borrowed.left_out
    assert heads.head(BORROWED).directions is not None
    assert train_probe.fn(Workplace(store), published, CLINIC.probe, lender=lender) == ref


def test_another_dataset_whose_images_taught_is_refused(finished: FinishedStudy) -> None:
    store, lender = ArtifactStore(finished.store), _lent(finished)
    by_title = {s.title: Ref.parse(s.ref) for s in finished.result.stages}
    lamp = ExternalImages(
        name="lamp",
        dataset=by_title["ingest (lamp)"],
        vectors=by_title["embed (lamp)"],
        pretraining_covers="no",
        near_duplicate_cosine=1,
    )
    refuse_teachers([lamp], lender, store)
    again = replace(lamp, name="again", dataset=by_title["ingest"])
    with pytest.raises(StudyError, match=r"external dataset again: \d+ of its images are training"):
        refuse_teachers([lamp, again], lender, store)


def test_a_lender_that_has_something_left_to_run_is_told_and_its_statements_do_not_matter(
    finished: FinishedStudy, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    for part in finished.store.iterdir():
        if part.name != "studies":
            (store / part.name).symlink_to(part)

    def ran_last_with(change: str) -> None:
        StudyShelf(store).keep("demo", settings_of(load_study(DEMO, [*SMALL, change])))

    ran_last_with("dataset.source.seed=1")
    with pytest.raises(StudyError, match=r"demo is not finished .* its stage ingest is to be run"):
        borrow(CLINIC, _stages(store))
    assert not only_remembered.get()
    ran_last_with("select.size=3")
    assert borrow(CLINIC, _stages(store)) == _lent(finished)
    ran_last_with("publish.erase=[skin_tone]")
    with pytest.raises(StudyError, match="demo erases skin_tone from what it publishes"):
        borrow(CLINIC, _stages(store))
