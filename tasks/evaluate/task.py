"""The evaluate stage: trained heads in, their numbers out. Nothing else loads test labels."""

from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.embeddings import ImageEmbeddings, StudyEmbeddings
from curette.schemas.encoders import EncoderHeads
from curette.schemas.evaluation import Evaluation, GuardedEvaluation
from curette.schemas.external import ExternalImages
from curette.schemas.heat_maps import HeatMaps
from curette.schemas.images import ImageDataset, TestLabels
from curette.schemas.probe import Heads
from curette.schemas.questions.shifts import ShiftTables
from curette.schemas.readings import TestReading, describe_readings
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.storage.ledger import TestLedger, digest_of_labels, digest_of_question, reading_of
from curette.storage.store import ArtifactStore
from curette.tasks.evaluate import STAGE
from curette.tasks.stage import Workplace, leave_table

if TYPE_CHECKING:  # cached runs need none of it
    from curette.tasks.evaluate.encoders import FurtherEncoder
    from curette.tasks.evaluate.external import ExternalTest, OtherImages


@STAGE.task
def evaluate_probe(
    at: Workplace,
    published: Ref[ConceptDataset],
    probe: Ref[Heads],
    spec: EvaluateSpec,
    *,
    drawn: tuple[Ref[Heads], ...] = (),
    heat_maps: Ref[HeatMaps] | None = None,
    external: tuple[ExternalImages, ...] = (),
    encoders: tuple[EncoderHeads, ...] = (),
    resampled: Ref[Heads] | None = None,
) -> Ref[Evaluation | GuardedEvaluation]:
    """Measure every head on the test split, with intervals and against its baselines.

    Other datasets are test images too, whose labels are read here alone.
    """
    from curette.tasks.evaluate.evaluation import evaluate_heads
    from curette.tasks.evaluate.exam import check_askable
    from curette.tasks.evaluate.guarded import evaluate_through_holdout

    dataset = at.store.load(ConceptDataset, published)
    heads = at.store.load(Heads, probe)
    on_draws = [at.store.load(Heads, ref) for ref in drawn]
    maps = at.store.load(HeatMaps, heat_maps) if heat_maps else None
    # What a holdout keeps, no other setting can change, so asking it so would be the same question.
    # Heat maps are left out: what is told of them needs no class label.
    others_ref = tuple((e.dataset, e.vectors) for e in external)
    beside = (*((e.embeddings, e.heads) for e in encoders), *filter(None, [resampled]))
    extras = (*drawn, *others_ref, *beside, spec.model_dump_json())
    asked = digest_of_question((published, probe, spec.thresholdout or extras))
    check_askable(dataset, spec)
    external = () if spec.thresholdout else external  # it would tell more of the test than one may
    others = tuple(_describe(dataset, e, at.store) for e in external)
    own = dataset.images.iloc[dataset.rows("test")]
    earlier = _record_reading(dataset.test_labels_ref, own, dataset, heads, asked, spec, at.store)
    labels = at.store.load(TestLabels, dataset.test_labels_ref)
    if spec.thresholdout:
        ask = partial(
            evaluate_through_holdout,
            *(dataset, heads, labels, spec, spec.thresholdout, asked, earlier),
        )
        digest = digest_of_labels(dataset.test_labels_ref, at.store)
        guarded = TestLedger(at.store.root).charge(digest, asked, ask)
        leave_table("metrics", _answers(guarded), _about_holdout(guarded))
        return at.store.save(guarded, STAGE.recipe())
    asked_elsewhere = (published, probe, spec.model_dump_json())
    read = tuple(
        _read_external(other, e, dataset, heads, asked_elsewhere, spec, at.store)
        for other, e in zip(others, external, strict=True)
    )
    evaluation = evaluate_heads(
        dataset,
        heads,
        labels,
        spec,
        earlier_readings=earlier,
        drawn=on_draws,
        heat_maps=maps,
        external=read,
        encoders=tuple(_see_with(dataset, e, at.store) for e in encoders),
        resampled=at.store.load(Heads, resampled) if resampled else None,
    )
    leave_table("metrics", _rows(evaluation), _about(evaluation))
    if evaluation.shifts:
        leave_table("shift-metrics", _shift_rows(evaluation.shifts), "In and out of domain.")
    return at.store.save(evaluation, STAGE.recipe())


def _describe(
    dataset: ConceptDataset, external: ExternalImages, store: ArtifactStore
) -> "OtherImages":
    """Return what is known of another dataset before any test label is read."""
    from curette.tasks.evaluate.external import describe_external

    images = store.load(ImageDataset, external.dataset)
    return describe_external(
        dataset, external, images, store.load(ImageEmbeddings, external.vectors)
    )


def _see_with(
    dataset: ConceptDataset, given: EncoderHeads, store: ArtifactStore
) -> "FurtherEncoder":
    """Return the study's images in a further encoder's vectors, with the heads trained on them."""
    from curette.tasks.evaluate.encoders import FurtherEncoder

    seen = store.load(StudyEmbeddings, given.embeddings)
    vectors = store.load(ImageEmbeddings, seen.images_ref)
    return FurtherEncoder(
        name=given.name,
        identity=seen.encoder,
        vectors=vectors.take(dataset.images["image_id"].tolist()),
        heads=store.load(Heads, given.heads),
    )


def _read_external(
    images: "OtherImages",
    external: ExternalImages,
    dataset: ConceptDataset,
    heads: Heads,
    asked: tuple[object, ...],
    spec: EvaluateSpec,
    store: ArtifactStore,
) -> "ExternalTest":
    """Read another dataset's labels, which is a reading of its own at them."""
    from curette.tasks.evaluate.external import ExternalTest

    other = store.load(ImageDataset, external.dataset)
    question = digest_of_question((*asked, external.dataset, external.vectors))
    readings = _record_reading(
        other.test_labels, other.images, dataset, heads, question, spec, store
    )
    told = describe_readings(readings) or ""
    return ExternalTest(images.with_readings(told), store.load(TestLabels, other.test_labels))


def _record_reading(
    test: Ref[TestLabels],
    images: pd.DataFrame,
    dataset: ConceptDataset,
    heads: Heads,
    asked: str,
    spec: EvaluateSpec,
    store: ArtifactStore,
) -> tuple[TestReading, ...]:
    """Record that the test labels are about to be read; return the earlier readings of them.

    The same question asked again, or by two runs at a time, is one reading: its answer is the same.
    """
    what = "through the reusable holdout, one metric" if spec.thresholdout else "every metric"
    told = f"{what} of {len(heads.families)} heads{_edited(heads)}"
    reading = reading_of(test, store, dataset.facts.name, told, asked)
    return TestLedger(store.root).record(reading, images["sha256"])


def _edited(heads: Heads) -> str:
    """Say how many edits a person made in them: whoever reads the ledger sees which came first."""
    edits = {told for head in heads.heads for told in head.facts.edits}
    return f", edited in {len(edits)} ways" if edits else ""


def _about(evaluation: Evaluation) -> str:
    warning = describe_readings(evaluation.earlier_readings)
    return " ".join(["Metrics on the test split, with their intervals.", warning or ""]).strip()


def _rows(evaluation: Evaluation) -> list[dict[str, object]]:
    return [
        {
            "head": m.head,
            "metric": m.name.replace("_", " "),
            "value": round(m.value, 4),
            f"{evaluation.confidence:.0%} interval": f"{m.low:.4f} to {m.high:.4f}",
        }
        for m in evaluation.metrics
    ]


def _about_holdout(guarded: GuardedEvaluation) -> str:
    return (
        "Balanced accuracy as the reusable holdout reveals it. "
        f"{guarded.remaining} of {guarded.settings.budget} answers from the test images are left."
    )


def _answers(guarded: GuardedEvaluation) -> list[dict[str, object]]:
    return [
        {
            "head": a.head,
            "balanced accuracy": "refused" if a.value is None else round(a.value, 4),
            "measured on": a.source,
        }
        for a in guarded.answers
    ]


def _shift_rows(shifts: ShiftTables) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [
        {
            "shift": result.plan.spec.title,
            "head": v.head,
            "metric": f"{v.name} {v.of}".replace("_", " "),
            "value": round(v.value, 4),
            f"{shifts.confidence:.0%} interval": f"{v.low:.4f} to {v.high:.4f}",
        }
        for result in shifts.results
        for v in result.values
    ]
    return rows + [
        {"shift": u.title, "head": f"not computable: {u.reason}"} for u in shifts.unusable
    ]
