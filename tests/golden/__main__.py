"""Adds one small artifact of each kind in its current layout: `python -m tests.golden`.

Run it when a layout changes, and commit what it adds; what is here already must load forever.
"""

from pathlib import Path

import numpy as np

import curette.flows  # noqa: F401 - telemetry off
from curette.schemas.adaptation import (
    Adaptation,
    AdaptationFacts,
    AdaptationResult,
    RungTried,
    SupportImage,
)
from curette.schemas.appraisal import Appraisal, ConfusedPair, Round
from curette.schemas.artifact import Artifact, Recipe, Ref
from curette.schemas.drift import Drift, DriftFacts
from curette.schemas.edits import Edits
from curette.schemas.embeddings import StudyEmbeddings
from curette.schemas.findings import (
    FindingPair,
    FindingRow,
    Findings,
    FindingsFacts,
    HeadValue,
    SplitCount,
)
from curette.schemas.images import Reports
from curette.schemas.llm import Usage
from curette.schemas.metrics import Estimate
from curette.schemas.probe import Heads
from curette.schemas.pushed import Pushed
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
        _appraisal(study.concepts.ids),
        study.priors,
        Decisions(study="small", decisions=()),
        Edits(study="small", edits=()),
        *_adaptation(),
        _drift(),
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
        _findings(),
        Pushed(repo="a/b", private=True, commit="0" * 40, url="https://127.0.0.1/datasets/a/b"),
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


def _findings() -> Findings:
    number = HeadValue(
        head="linear_probe", name="auroc", value=Estimate(value=0.5, low=0.4, high=0.6)
    )
    count = SplitCount(present=1, absent=2)
    row = FindingRow(
        key="edema",
        name="edema",
        counts={"train": count, "validation": count, "test": count},
        left_out=1,
        concepts=2,
        evaluation=f"evaluation/{'0' * 20}",
        report=f"report/{'1' * 20}",
        values=(number,),
    )
    facts = FindingsFacts(
        study="small",
        rows=(row,),
        means=(number,),
        together=(FindingPair(first="edema", second="mass", both=1, first_of_known=2, known=3),),
        images=3,
        groups=3,
        resamples=100,
        confidence=0.95,
        interval="percentile",
    )
    return Findings(facts, "<html></html>")


def _adaptation() -> tuple[Adaptation, AdaptationResult]:
    facts = AdaptationFacts(
        study="small",
        site="lamp",
        head="linear_probe",
        rung="nothing",
        p_value=0.5,
        offset={"a": 0.0, "b": 0.0},
        tried=(
            RungTried(
                rung="nothing",
                loss=0.5,
                gain=None,
                standard_error=None,
                lost_at_home=0.0,
                taken=True,
            ),
        ),
        support=(SupportImage(image_id="img00", group="s0", class_key="a"),),
    )
    number = Estimate(value=0.5, low=0.4, high=0.6)
    return (
        Adaptation(facts, Ref(Heads.kind, "0" * 20), np.eye(2), np.zeros(2)),
        AdaptationResult(
            adaptation=f"{Adaptation.kind}/{'1' * 20}",
            images=2,
            groups=2,
            left_out=1,
            classes=("a", "b"),
            before=number,
            after=number,
            gain=number,
            confidence=0.95,
            readings="",
        ),
    )


def _drift() -> Drift:
    number = {"value": 0.8, "low": 0.7, "high": 0.9}
    statement = {"text": "ruler", "asked_of": "picture", "above": 0.6, "p_value": 0.01}
    content = {
        **{"study": "small", "batch": "week", "checked_on": "2026-11-30", "level": 0.05},
        **{"published": f"concept-dataset/{'0' * 20}", "probe": f"{Heads.kind}/{'1' * 20}"},
        **{"images": 3, "groups": 2, "known": 0, "refused": 0},
        **{"reference_images": 9, "reference_groups": 4, "told": (0,)},
        "tests": [{"name": "statements", "p_value": 0.01, "corrected": 0.03}],
        "statements": [{**statement, "family_p_value": 0.02, "moved": 0.4, "by_mix": 0.1}],
        "mix": [{"class_key": "a", "before": 0.5, "now": number}],
        **{"unlike_before": 0.0, "unlike_now": 0.1},
        **dict.fromkeys(("accuracy_before", "accuracy_now", "accuracy_change"), number),
    }
    return Drift(DriftFacts.model_validate(content), "<html></html>")


def _appraisal(ids: tuple[str, ...]) -> Appraisal:
    first = Round(
        number=1,
        about=(),
        proposed=9,
        screened=7,
        chosen=6,
        concepts=ids,
        usage=Usage(answers=3),
        accuracy=0.8,
        loss=0.3,
        kept=True,
    )
    gained = {"number": 2, "about": (("nv", "mel"),), "gain": 0.05, "standard_error": 0.02}
    return Appraisal(
        rounds=(first, first.model_copy(update=gained)),
        pairs=(
            ConfusedPair(
                first="nv", second="mel", first_as_second=1, second_as_first=0, groups=1, rate=0.1
            ),
        ),
        statements=("jagged border",),
        images=1,
        groups=1,
        losses=(0.0, 0.25),
    )


if __name__ == "__main__":
    main()
