"""The evaluate stage: trained heads in, their numbers out. Nothing else loads test labels."""

import hashlib
from datetime import UTC, datetime

from prefect import task

from schemas.artifact import Ref
from schemas.concept_dataset import ConceptDataset
from schemas.evaluation import EvaluateSpec, Evaluation, TestLook, tell_looks
from schemas.few_shots import FewShotHeads
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
) -> Ref[Evaluation]:
    """Measure every head on the test split, with intervals and against its baselines."""
    from tasks.evaluate.evaluation import evaluate_heads

    dataset = store.load(ConceptDataset, published)
    heads = store.load(Probe, probe)
    few = store.load(FewShotHeads, few_shots) if few_shots else None
    shifted = store.load(ShiftHeads, shifts) if shifts else None
    asked = (published, probe, few_shots, shifts, spec.model_dump_json())
    question = "\n".join(map(str, asked))
    earlier = _record_look(dataset, heads, question, store)
    labels = store.load(TestLabels, dataset.test_labels_ref)
    evaluation = evaluate_heads(dataset, heads, few, labels, spec, earlier, shifted)
    leave_table("metrics", _rows(evaluation), _description(evaluation))
    if evaluation.shifts:
        leave_table("shift-metrics", _shift_rows(evaluation.shifts), "In and out of domain.")
    recipe = STAGE.recipe(spec, published=published, probe=probe)
    beside = {"few_shots": few_shots, "shifts": shifts}
    inputs = recipe.inputs | {name: str(ref) for name, ref in beside.items() if ref}
    return store.save(evaluation, recipe.model_copy(update={"inputs": inputs}))


def _record_look(
    dataset: ConceptDataset, heads: Probe, question: str, store: ArtifactStore
) -> tuple[TestLook, ...]:
    """Record that the test labels are about to be read; return the earlier looks at them.

    The same question asked again, or by two runs at a time, is one look: its answer is the same.
    Labels are known by their content, which the manifest knows without reading them, and not by
    their address: equal labels that were set apart under other settings are the same test.
    """
    files = store.manifest(dataset.test_labels_ref).files.values()
    labels = "".join(file.sha256 for file in files)
    ledger = TestLedger(store.root)
    asked = hashlib.sha256(question.encode()).hexdigest()
    earlier = tuple(look for look in ledger.looks(labels) if look.question != asked)
    families = {h.facts.family for h in heads.heads}
    ledger.record(
        TestLook(
            labels=labels,
            study=dataset.facts.name,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            asked=f"every metric of {len(families)} heads",
            question=asked,
        )
    )
    return earlier


def _description(evaluation: Evaluation) -> str:
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
