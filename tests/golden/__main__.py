"""Adds one small artifact of each kind in its current layout: `python -m tests.golden`.

Run it when a layout changes, and commit what it adds; what is here already must load forever.
"""

from pathlib import Path

import curette.flows  # noqa: F401 - telemetry off
from curette.schemas.artifact import Artifact, Recipe, Ref
from curette.schemas.edits import Edits
from curette.schemas.embeddings import StudyEmbeddings
from curette.schemas.images import Reports
from curette.schemas.report import Report
from curette.schemas.review import Decisions
from curette.schemas.settings.draw import DomainShift, FewShotSpec
from curette.schemas.settings.evaluate import EvaluateSpec, ThresholdoutSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.schemas.settings.select import SelectSpec, Size
from curette.schemas.validation import Check, ValidatedConceptDataset, ValidationReport
from curette.storage.store import ArtifactStore
from curette.tasks.draw.protocols import PROTOCOLS
from curette.tasks.evaluate.evaluation import evaluate_heads
from curette.tasks.evaluate.guarded import evaluate_through_holdout
from curette.tasks.probe.protocols import train_on_draws
from curette.tasks.probe.training import train_heads
from tests.builders.annotations import annotations
from tests.builders.published_study import heat_maps, published_study, with_people
from tests.builders.small_study import ENCODER, small_study

ROOT = Path(__file__).parent


def main() -> None:
    """Save the artifacts that are not here yet."""
    study = small_study()
    published, test_labels = published_study()
    probe = train_heads(published, ProbeSpec(epochs=3, random_draws=1))
    select, few_shots = SelectSpec(size=Size(per_class=2)), FewShotSpec(shots=(1,), seeds=1)
    few = PROTOCOLS["few shots"](published, select, few_shots)
    people = with_people(published)
    male = DomainShift(kind="domain", column="sex", train_on=("male",))
    shifts = PROTOCOLS["shifts"](people, select, (male,))
    guarded, _ = evaluate_through_holdout(
        *(published, probe, test_labels, EvaluateSpec(), ThresholdoutSpec(), "golden", (), 0, ())
    )
    maps = heat_maps(published)
    check = Check(
        suite="images", expectation="ids are unique", severity="critical", outcome="passed"
    )
    artifacts: list[Artifact] = [
        study.dataset,
        test_labels,
        Reports(texts={"img00": "A network of brown lines."}),
        annotations(study.dataset, study.concepts.concepts),
        study.candidates,
        study.images,
        study.texts,
        StudyEmbeddings(encoder=ENCODER, images="0" * 20, texts="1" * 20),
        study.screened,
        study.concepts,
        study.priors,
        Decisions(study="small", decisions=()),
        Edits(study="small", edits=()),
        study.index,
        ValidationReport(checks=(check,), results={"images": {}}, data_docs="<html></html>"),
        ValidatedConceptDataset(
            dataset="0" * 20,
            candidates="1" * 20,
            screened="2" * 20,
            concepts="3" * 20,
            priors="7" * 20,
            embeddings="4" * 20,
            index="5" * 20,
            report="6" * 20,
        ),
        published,
        few,
        shifts,
        probe,
        train_on_draws(published, few, ProbeSpec(epochs=3)),
        train_on_draws(people, shifts, ProbeSpec(epochs=3, heads=(), random_draws=1)),
        maps,
        evaluate_heads(
            *(published, probe, test_labels, EvaluateSpec(resamples=100)), heat_maps=maps
        ),
        guarded,
        Report(html="<html></html>", data_docs="<html></html>"),
    ]
    store = ArtifactStore(ROOT)
    there = {
        (manifest.kind, manifest.layout)
        for place in ROOT.glob("*/*/")
        for manifest in [store.manifest(Ref[Artifact](place.parent.name, place.name))]
    }
    for artifact in artifacts:
        if (artifact.kind, artifact.layout) not in there:
            print(store.save(artifact, Recipe(stage="golden", code="")))


if __name__ == "__main__":
    main()
