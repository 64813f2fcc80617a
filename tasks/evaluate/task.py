"""The evaluate stage: trained heads in, their numbers out. Nothing else loads test labels."""

import hashlib
from datetime import UTC, datetime
from functools import partial

from prefect import task

from schemas.artifact import Ref
from schemas.concept_dataset import ConceptDataset
from schemas.evaluation import (
    EvaluateSpec,
    Evaluation,
    GuardedEvaluation,
    TestLook,
    tell_looks,
)
from schemas.few_shots import FewShotHeads
from schemas.heat_maps import HeatMaps
from schemas.images import TestLabels
from schemas.probe import Probe
from schemas.shifts import ShiftHeads, ShiftTables
from storage.ledger import TestLedger
from storage.store import ArtifactStore
from tasks.stage import Stage, leave_table

STAGE = Stage(name="evaluate")


@task(name=STAGE.name, cache_policy=STAGE, persist_result=True, result_serializer="json")
def evaluate_probe(
    published: Ref[ConceptDataset],
    probe: Ref[Probe],
    few_shots: Ref[FewShotHeads] | None,
    spec: EvaluateSpec,
    store: ArtifactStore,
    shifts: Ref[ShiftHeads] | None = None,
    heat_maps: Ref[HeatMaps] | None = None,
) -> Ref[Evaluation | GuardedEvaluation]:
    """Measure every head on the test split, with intervals and against its baselines."""
    from tasks.evaluate.evaluation import evaluate_heads
    from tasks.evaluate.guarded import evaluate_through_holdout

    dataset = store.load(ConceptDataset, published)
    heads = store.load(Probe, probe)
    few = store.load(FewShotHeads, few_shots) if few_shots else None
    shifted = store.load(ShiftHeads, shifts) if shifts else None
    maps = store.load(HeatMaps, heat_maps) if heat_maps else None
    # What a holdout keeps, no other setting can change, so asking it so would be the same question.
    # Heat maps are left out: what is told of them needs no label.
    question = (published, probe, spec.thresholdout or (few_shots, shifts, spec.model_dump_json()))
    asked = hashlib.sha256("\n".join(map(str, question)).encode()).hexdigest()
    earlier = _record_look(dataset, heads, asked, spec, store)
    labels = store.load(TestLabels, dataset.test_labels_ref)
    recipe = STAGE.recipe(
        spec,
        published=published,
        probe=probe,
        few_shots=few_shots,
        shifts=shifts,
        heat_maps=heat_maps,
    )
    if spec.thresholdout:
        ask = partial(
            evaluate_through_holdout,
            *(dataset, heads, labels, spec, spec.thresholdout, asked, earlier),
        )
        guarded = TestLedger(store.root).charge(_digest(dataset, store), asked, ask)
        leave_table("metrics", _answers(guarded), _about_holdout(guarded))
        return store.save(guarded, recipe)
    evaluation = evaluate_heads(dataset, heads, few, labels, spec, earlier, shifted, maps)
    leave_table("metrics", _rows(evaluation), _about(evaluation))
    if evaluation.shifts:
        leave_table("shift-metrics", _shift_rows(evaluation.shifts), "In and out of domain.")
    return store.save(evaluation, recipe)


def _record_look(
    dataset: ConceptDataset, heads: Probe, asked: str, spec: EvaluateSpec, store: ArtifactStore
) -> tuple[TestLook, ...]:
    """Record that the test labels are about to be read; return the earlier looks at them.

    The same question asked again, or by two runs at a time, is one look: its answer is the same.
    """
    labels = _digest(dataset, store)
    what = "through the reusable holdout, one metric" if spec.thresholdout else "every metric"
    look = TestLook(
        labels=labels,
        study=dataset.facts.name,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        asked=f"{what} of {len(heads.families)} heads",
        question=asked,
    )
    return TestLedger(store.root).record(look)


def _digest(dataset: ConceptDataset, store: ArtifactStore) -> str:
    """Return the digest by which test labels are known: of their content, not read but listed.

    Their address would not do: equal labels that were set apart under other settings are the same
    test.
    """
    files = store.manifest(dataset.test_labels_ref).files.values()
    return "".join(file.sha256 for file in files)


def _about(evaluation: Evaluation) -> str:
    warning = tell_looks(evaluation.earlier_looks)
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
        "Balanced accuracy as the reusable holdout tells it. "
        f"{guarded.remaining} of {guarded.settings.budget} answers from the test images are left."
    )


def _answers(guarded: GuardedEvaluation) -> list[dict[str, object]]:
    return [
        {
            "head": a.head,
            "balanced accuracy": "refused" if a.value is None else round(a.value, 4),
            "told of": a.source,
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
