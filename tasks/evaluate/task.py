"""The evaluate stage: trained heads in, their numbers out. Nothing else loads test labels."""

from prefect import task

from schemas.artifact import Ref
from schemas.concept_dataset import ConceptDataset
from schemas.evaluation import EvaluateSpec, Evaluation
from schemas.images import TestLabels
from schemas.probe import Probe
from storage.store import ArtifactStore
from tasks.stage import Stage, leave_table

STAGE = Stage(name="evaluate")


@task(name=STAGE.name, cache_policy=STAGE, persist_result=True, result_serializer="json")
def evaluate_probe(
    published: Ref[ConceptDataset], probe: Ref[Probe], spec: EvaluateSpec, store: ArtifactStore
) -> Ref[Evaluation]:
    """Measure every head on the test split, with intervals and against its baselines."""
    from tasks.evaluate.evaluation import evaluate_heads

    dataset = store.load(ConceptDataset, published)
    heads = store.load(Probe, probe)
    evaluation = evaluate_heads(
        dataset, heads, store.load(TestLabels, dataset.test_labels_ref), spec
    )
    leave_table("metrics", _rows(evaluation), "Metrics on the test split, with their intervals.")
    return store.save(evaluation, STAGE.recipe(spec, published=published, probe=probe))


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
