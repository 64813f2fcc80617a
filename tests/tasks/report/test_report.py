"""The page holds everything, asks nobody for anything, and trusts no text."""

import base64
import io
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from jinja2 import DictLoader
from markupsafe import escape
from PIL import Image

from curette.schemas.adaptation import (
    Adaptation,
    AdaptationFacts,
    AdaptationResult,
    SupportImage,
)
from curette.schemas.artifact import Manifest, Recipe, Ref
from curette.schemas.candidates import AskFailure, CandidateSet, Saturation, SaturationPoint
from curette.schemas.concepts import ClassSelection, ConceptSet, Pick
from curette.schemas.edits import Edit, Edits
from curette.schemas.evaluation import Evaluation, GuardedAnswer, GuardedEvaluation
from curette.schemas.heads import EXPLAINED
from curette.schemas.heat_maps import LeftOutImage
from curette.schemas.images import SPLITS, Rejection
from curette.schemas.index import ConceptIndex, Hit
from curette.schemas.metadata import UnusableColumn
from curette.schemas.metrics import Estimate
from curette.schemas.priors import Priors
from curette.schemas.questions.concept_truth import ConceptQuality
from curette.schemas.questions.interventions import Interventions
from curette.schemas.readings import TestReading
from curette.schemas.screened import (
    Believed,
    Drop,
    JudgedConcept,
    JudgeReport,
    PlantedStatement,
    Proportion,
    ScreenedSet,
    Visibility,
)
from curette.schemas.settings.evaluate import EvaluateSpec, ThresholdoutSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.schemas.settings.report import ReportSpec
from curette.schemas.settings.screen import ScreenSpec
from curette.schemas.validation import Check, ValidationReport
from curette.tasks.edit.heads import edit_probe
from curette.tasks.evaluate.evaluation import evaluate_heads
from curette.tasks.methods.page.numbers import plain, signed
from curette.tasks.methods.page.pictures import PictureBook
from curette.tasks.probe.training import train_heads
from curette.tasks.report.material import Draft, Material
from curette.tasks.report.page import compose_page
from curette.tasks.report.render import render_page
from curette.tasks.report.sections import SECTIONS, Section, edits, screening
from curette.tasks.report.sections.adaptations import adapted_sites
from curette.tasks.report.sections.concept_budget import findings
from tests.builders.annotations import annotations
from tests.builders.images import image_dataset
from tests.builders.published_study import KEYS, heat_maps, published_study
from tests.builders.small_study import index_facts, look_alikes
from tests.pages import (
    HOSTILE,
    check_asks_nobody,
    check_hostile_text_stays_text,
    check_only_our_script_runs,
    check_tables_say_what_their_heads_are_of,
    tags_of,
)
from tests.shapes import unchecked

JUDGE = JudgeReport(
    model=HOSTILE,
    votes=3,
    sensitivity=Proportion(count=10, of=10, low=0.72, high=1),
    specificity=Proportion(count=9, of=10, low=0.6, high=0.98),
    min_sensitivity=0.8,
    min_specificity=0.8,
    believed=True,
    verdict="It is believed.",
    kappa=0.83,
    visibility=Visibility(
        verdicts=Proportion(count=1, of=2, low=0.1, high=0.9),
        share=Believed(mean=0.63, low=0.2, high=0.95),
        rogan_gladen=0.6,
        called_visible=Believed(mean=0.98, low=0.91, high=1),
        called_not_visible=Believed(mean=0.17, low=0, high=0.8),
    ),
    judged=tuple(
        JudgedConcept(concept_id=i, text=HOSTILE, judge=judge, rules=rules, yes=2, no=1, asked=3)
        for i, judge, rules in (
            ("a", "visible", "not_visible"),
            ("b", "not_visible", "visible"),
            ("c", "unjudged", "visible"),
            ("d", "visible", "visible"),
        )
    ),
    planted=(PlantedStatement(text="a red spot", visible=True, yes=3, no=0, asked=3),),
)


@pytest.fixture(scope="module")
def material() -> Material:
    published, test = published_study(noise=1.5)
    spoiled = tuple(
        c.model_copy(update={"text": HOSTILE}) if i == 0 else c
        for i, c in enumerate(published.concepts)
    )
    facts = published.facts.model_copy(update={"description": HOSTILE})
    sexes = np.where(np.arange(180) // 2 % 2 == 0, HOSTILE, "male")
    images = published.images.assign(**{"meta.sex": sexes})
    published = replace(published, images=images, concepts=spoiled, facts=facts)
    with unchecked():  # what is told is given here, and checked where it is made
        probe = train_heads(published, ProbeSpec(epochs=30, random_draws=1, nec=(1,)))
        evaluation = evaluate_heads(
            published,
            probe,
            test,
            EvaluateSpec(
                resamples=100,
                explained_images=4,
                ordered=True,
                taxonomy={HOSTILE: ("a", "b")},
                pretraining=HOSTILE,
            ),
            earlier_readings=(
                TestReading(labels="a" * 64, study=HOSTILE, at=HOSTILE, asked=HOSTILE),
            ),
            heat_maps=replace(
                heat_maps(published), left_out=(LeftOutImage(image_id=HOSTILE, reason=HOSTILE),)
            ),
        )
    unusable = (UnusableColumn(column=HOSTILE, reason=HOSTILE),)
    evaluation = evaluation.model_copy(
        update={"subgroups": evaluation.subgroups.model_copy(update={"unusable": unusable})}
    )
    return Material(
        dataset=image_dataset(
            published.images.assign(location="", mask_location=""),
            classes=published.facts.classes,
            rejected=(Rejection(row=HOSTILE, reason="broken-image", detail=HOSTILE),),
            source=HOSTILE,
            class_counts={k: dict.fromkeys(SPLITS, 20) for k in KEYS},
        ),
        screened=ScreenedSet(
            kept=published.pool,
            dropped=(
                Drop(
                    candidate=published.pool[0].model_copy(update={"text": HOSTILE}),
                    gate="visual",
                    reason=HOSTILE,
                ),
            ),
            gates=ScreenSpec().names,
            judge=JUDGE,
        ),
        candidates=CandidateSet(
            candidates=published.pool,
            failures=(
                AskFailure(class_key=HOSTILE, request_sha256="", reason=HOSTILE, raw=HOSTILE),
            ),
            saturation=(
                Saturation(
                    source="class_prompts",
                    about=HOSTILE,
                    points=(SaturationPoint(requests=2, distinct=9),),
                    mentions=12,
                    once=6,
                    twice=3,
                    stopped="limit",
                ),
            ),
            source=HOSTILE,
        ),
        priors=Priors(
            class_keys=KEYS,
            concept_ids=tuple(c.concept_id for c in published.pool),
            source=HOSTILE,
            asked="links",
            priors=published.priors,
        ),
        concepts=ConceptSet(
            method="labo",
            concepts=spoiled,
            selections=tuple(
                ClassSelection(
                    class_key=k,
                    pool=6,
                    picks=tuple(
                        Pick(concept_id=c.concept_id, gain=0.1)
                        for c in spoiled
                        if k in c.selected_for
                    ),
                    value=0.9,
                    upper_bound=1.0,
                )
                for k in KEYS
            ),
        ),
        index=ConceptIndex(
            image_ids=tuple(published.images["image_id"]),
            concept_ids=tuple(c.concept_id for c in spoiled),
            images=np.zeros(1, dtype=np.uint8),
            concepts=np.zeros(1, dtype=np.uint8),
            top_images={c.concept_id: (Hit(image_id="img000", score=0.9),) for c in spoiled},
            facts=index_facts(published.vectors),
            duplicates=look_alikes(HOSTILE, "img170"),
        ),
        validation=ValidationReport(
            checks=(
                Check(
                    suite="concepts",
                    expectation=HOSTILE,
                    severity="warning",
                    outcome="failed",
                    examples=(HOSTILE,),
                ),
            ),
            results={},
            data_docs="",
        ),
        published=published,
        probe=probe,
        evaluation=evaluation,
        lineage=(
            Manifest(
                kind="concepts",
                layout=1,
                digest="d" * 20,
                files={},
                recipe=Recipe(stage="select", code="c" * 64, spec={"name": HOSTILE}),
                code_commit=None,
                lock_sha256=None,
                python="3.11",
                platform="linux",
                created_at="2026-01-01",
            ),
        ),
    )


def _png(_: str) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (40, 20), (200, 30, 60)).save(content, "PNG")
    return content.getvalue()


@pytest.fixture(scope="module")
def composed(material: Material) -> dict[str, Any]:
    return compose_page(material, ReportSpec(), PictureBook(_png, 32))


@pytest.fixture(scope="module")
def page(composed: dict[str, Any]) -> str:
    return render_page(composed)


_NO_WALL = ReportSpec(wall=False)  # which is half the work of a page


def _page(material: Material, *names: str) -> dict[str, Any]:
    """Return a page of these sections alone."""
    some = [s for s in SECTIONS if s.name in names]
    return compose_page(material, _NO_WALL, PictureBook(_png, 32), some)


def _told(page: dict[str, Any], name: str) -> dict[str, Any]:
    """Return what a section tells."""
    return next(s["told"] for s in page["sections"] if s["name"] == name)


def test_hostile_text_stays_text(page: str) -> None:
    check_hostile_text_stays_text(page)


def test_a_judges_verdicts_are_told_with_what_they_are_worth(
    material: Material, composed: dict[str, Any], page: str
) -> None:
    told = _told(composed, "screening")["judge"]
    worth = [(w["count"], w["visible"].mean) for w in told["worth"]]
    assert worth == [(2, 0.98), (1, 0.17), (2, 0.63)]
    assert [d["likely"] and d["likely"].mean for d in told["differ"]] == [0.98, 0.17, None]
    assert "<b>0.98</b> <small>0.91–1.00</small>" in page
    nothing = JUDGE.model_copy(update={"visibility": None, "why_no_visibility": "it guesses"})
    blind = replace(material, screened=material.screened.model_copy(update={"judge": nothing}))
    told = screening.compose(Draft(blind, ReportSpec(), PictureBook(_png, 32)))["judge"]
    assert (told["worth"], told["why_no_worth"]) == ([], "it guesses")


def test_the_page_asks_nobody(page: str) -> None:
    check_asks_nobody(page, "data_docs.html")


def test_no_script_runs_but_our_own(page: str) -> None:
    check_only_our_script_runs(page)


def test_every_section_is_there(page: str) -> None:
    for name in (
        *("finding", "trust", "cards", "explanations", "numbers", "glossary"),
        *("metrics", "differences", "curves", "subgroups", "disagreement", "predictions"),
        *("concept-truth", "interventions", "location", "classes", "candidates", "screening"),
        *("priors", "validation", "data", "lineage"),
    ):
        assert f'id="{name}"' in page


def test_look_alikes_and_how_images_are_searched_are_told(page: str) -> None:
    assert "The search among 180 images is exact." in page
    told = f'<td>{escape(HOSTILE)} <span class="hint">train</span></td>'
    assert f'{told}<td>img170 <span class="hint">test, cosine 0.9991</span></td>' in page
    assert "1 in 1 clusters" in page


def test_every_head_and_metric_is_in_the_table(page: str, material: Material) -> None:
    for metric in _in_full(material).metrics:
        if metric.name != "log_loss":
            assert plain(metric.value) in page
            assert f"{plain(metric.low)}–{plain(metric.high)}" in page


def test_every_subgroup_has_its_numbers_beside_its_size(page: str, material: Material) -> None:
    tables = _in_full(material).subgroups
    assert {m.column for m in tables.metrics} == {"sex"}
    for w in tables.worst:
        number = f"<b>{w.value:.3f}</b> <small>{w.low:.3f}–{w.high:.3f}</small>"
        if w.name == "balanced_accuracy":
            assert f"{escape(w.subgroup)}: {number}" in page
    for m in tables.metrics:
        assert f"<b>{m.value:.3f}</b> <small>{m.low:.3f}–{m.high:.3f}</small>" in page
        sizes = f"<td>{m.images}</td><td>{m.groups}</td><td>{m.classes}</td>"
        assert f'<th scope="row">{escape(m.subgroup)}</th>{sizes}' in page


def test_every_difference_is_told_with_its_interval_and_delongs_test(
    page: str, material: Material
) -> None:
    differences = _in_full(material).differences
    assert any(d.delong for d in differences)
    for d in differences:
        assert f"{signed(d.low)} to {signed(d.high)}" in page
        if d.delong:
            assert f", {signed(d.delong.low)} to {signed(d.delong.high)}" in page


def test_calibration_is_told_before_and_after(page: str, material: Material) -> None:
    for curves in _in_full(material).curves:
        c = curves.calibration
        assert f"<td>{c.log_loss:.3f}</td><td>{c.log_loss_after:.3f}</td>" in page
    assert "root mean square" in page


def test_images_that_heads_disagree_on_are_shown(page: str, material: Material) -> None:
    d = _in_full(material).disagreement
    assert d.examples
    for example in d.examples:
        assert f"<small>{example.image_id}</small>" in page
    for count in (d.both_right, d.only_first_right, d.only_second_right, d.both_wrong_apart):
        assert f"<td>{count}</td>" in page
    assert "McNemar" in page


def _in_full(material: Material) -> Evaluation:
    assert isinstance(material.evaluation, Evaluation)
    return material.evaluation


def _caveats(material: Material, **said: object) -> list[str]:
    changed = replace(material, evaluation=material.evaluation.model_copy(update=said))
    caveats: list[str] = _told(_page(changed, "metrics"), "metrics")["caveats"]
    return caveats


def test_earlier_readings_at_the_test_labels_stand_beside_the_numbers(material: Material) -> None:
    reading = TestReading(labels="a" * 64, study="moles", at="2026-01-05T09:00:00", asked="")
    told = _caveats(material, earlier_readings=(reading,))
    assert told[0].startswith(
        "These test labels have been read 1 time before, first on 2026-01-05, by moles."
    )
    assert not any("have been read" in c for c in _caveats(material, earlier_readings=()))


def test_what_the_encoder_may_have_seen_stands_beside_the_numbers(material: Material) -> None:
    def told(pretraining: str, covers: str) -> str:
        said = _caveats(material, pretraining=pretraining, pretraining_covers_test=covers)
        return said[-1]

    assert told("", "unknown") == "The study does not say what the encoder was pretrained on."
    assert told("LAION-2B.", "no") == (
        "The encoder was pretrained on LAION-2B. By the study's own word that covers none of "
        "these test images."
    )
    assert "does not know" in told("LAION-2B", "unknown")
    assert "may be too good" in told("everything", "yes")


def test_the_overview_holds_few_heads_and_opens_to_all(
    material: Material, composed: dict[str, Any]
) -> None:
    metrics = _told(composed, "metrics")
    overview = {row["head"] for row in metrics["table"]["rows"]}
    at_nec = {row["head"] for row in metrics["sparse"]["table"]["rows"]}
    assert all("NEC" in head for head in at_nec)
    assert overview | at_nec == {m.head for m in _in_full(material).metrics}
    assert not overview & at_nec
    assert {row["head"] for row in _told(composed, "curves")["table"]["rows"]} == {
        "concept bottleneck",
        "linear probe",
    }


def test_every_located_head_and_concept_has_its_numbers(page: str, material: Material) -> None:
    location = _in_full(material).location
    assert location.heads
    assert {HOSTILE, "sign 1 of a"} <= {c.text for c in location.concepts}
    for line in (*location.heads, *location.concepts):
        assert f"<b>{line.clm.value:.3f}</b> <small>{line.clm.low:.3f}" in page
    section = page[page.index('id="location"') :]
    section = section[: section.index("</div>")]
    assert section.count('class="picture heat p') == len(location.examples) == 6
    assert f"<td>{escape(HOSTILE)}</td><td>{escape(HOSTILE)}</td>" in page


def test_drawn_images_are_labelled_as_drawn(page: str) -> None:
    assert "drawn by curette itself" in page


def test_an_image_is_embedded_once() -> None:
    asked: list[str] = []

    def read(image_id: str) -> bytes:
        asked.append(image_id)
        return _png(image_id)

    book = PictureBook(read, 32)
    assert book.css("a") == book.css("a") != book.css("b")
    assert asked == ["a", "b"]
    thumbnail = base64.b64decode(book.shown[0].uri.partition(",")[2])
    assert Image.open(io.BytesIO(thumbnail)).size == (32, 16)


def test_an_image_without_pixels_costs_a_thumbnail_only(material: Material) -> None:
    def nowhere(image_id: str) -> bytes:
        raise FileNotFoundError(image_id)

    page = render_page(compose_page(material, ReportSpec(), PictureBook(nowhere, 32)))
    assert "absent" in page


def test_concepts_shown_a_class_are_capped(material: Material) -> None:
    page = compose_page(
        material, ReportSpec(concepts_per_class=1, wall=False), PictureBook(_png, 32)
    )
    classes = _told(page, "classes")["classes"]
    assert [len(c["concepts"]) for c in classes] == [1, 1, 1]
    assert [c["total"] for c in classes] == [6, 6, 6]
    assert render_page(page).count("and 5 more") == 3


def test_the_certificate_says_whose_selection_and_which_similarity(material: Material) -> None:
    def proofs(**update: object) -> list[str]:
        concepts = material.concepts.model_copy(update=update)
        spoken = replace(material, concepts=concepts)
        page = _page(spoken, "classes")
        classes = _told(page, "classes")["classes"]
        assert classes[0]["proof"] in render_page(page)
        return [c["proof"] for c in classes]

    assert set(proofs()) == {"selection reaches at least 90.0% of the optimum, from 6 candidates"}
    sparse = tuple(
        s.model_copy(update={"neighbours": 64, "pool": 50_000})
        for s in material.concepts.selections
    )
    assert set(proofs(selections=sparse, scope="jointly")) == {
        "selection of all classes together reaches at least 90.0% of the optimum, over 64 "
        "nearest neighbours, from 50,000 candidates of this class"
    }


def test_the_table_of_images_says_what_each_split_holds(
    material: Material, composed: dict[str, Any]
) -> None:
    assert isinstance(material.dataset.images, pd.DataFrame)
    assert _told(composed, "data")["rows"][0]["counts"] == [20, 20, 20]


def guarded(material: Material) -> GuardedEvaluation:
    """Return what a reusable holdout tells instead."""
    in_full = _in_full(material)
    return GuardedEvaluation(
        class_keys=in_full.class_keys,
        images=in_full.images,
        groups=in_full.groups,
        earlier_readings=(),
        pretraining="",
        pretraining_covers_test="unknown",
        settings=ThresholdoutSpec(budget=7),
        one_image=0.02,
        remaining=6,
        answers=(
            GuardedAnswer(
                head="concept bottleneck",
                head_kind="concept_bottleneck",
                nec=3,
                value=0.8125,
                source="test",
            ),
            GuardedAnswer(head="prior", head_kind="prior", nec=3, value=None, source="refused"),
        ),
    )


def test_what_the_reusable_holdout_keeps_is_not_on_the_page(material: Material) -> None:
    page = render_page(
        compose_page(
            replace(material, evaluation=guarded(material)), ReportSpec(), PictureBook(_png, 32)
        )
    )
    assert "<td><b>0.812</b></td><td>test images, with noise: they differ</td>" in page
    assert "<td><b>–</b></td><td>the budget is spent</td>" in page
    assert "7 answers from the test images, of which 6 are left" in page
    assert "moves a balanced accuracy by 0.020, more than the noise" in page
    for section in (
        *("curves", "subgroups", "disagreement", "few-shots", "concept-truth", "explanations"),
        *("differences", "predictions", "location", "interventions"),
    ):
        assert f'id="{section}"' not in page
        assert f'href="#{section}"' not in page
    assert 'id="cards"' in page


def test_without_ground_truth_the_page_says_that_concepts_cannot_be_checked(
    material: Material,
) -> None:
    nothing = ConceptQuality(labelled=0, unlabelled=6, not_computable="nobody looked")
    unknown = Interventions(concepts=0, not_computable="nobody looked")
    evaluation = _in_full(material).model_copy(
        update={"concept_truth": nothing, "interventions": unknown}
    )
    changed = replace(material, evaluation=evaluation)
    page = render_page(compose_page(changed, _NO_WALL, PictureBook(_png, 32)))
    assert "Not computable: nobody looked." in page
    assert "Is each concept found?" not in page


def test_what_a_model_read_in_reports_is_told_as_its_reading(material: Material, page: str) -> None:
    assert 'id="annotations"' not in page
    made = annotations(material.dataset, material.published.concepts)
    hostile = made.facts.model_copy(update={"model": HOSTILE, "server": HOSTILE})
    facts = material.published.facts.model_copy(update={"annotations": hostile})
    published = replace(material.published, facts=facts)
    findings = tuple(
        f.model_copy(update={"labels_from": "reports", "attribute": f.concept_id})
        for f in material.evaluation.concept_truth.findings  # type: ignore[union-attr]
    )
    concepts = material.evaluation.concept_truth.model_copy(  # type: ignore[union-attr]
        update={"findings": findings}
    )
    evaluation = material.evaluation.model_copy(update={"concept_truth": concepts})
    read = replace(material, published=published, evaluation=evaluation)
    told = render_page(compose_page(read, _NO_WALL, PictureBook(_png, 32)))
    assert [tag for tag, _ in tags_of(told)].count("script") == 1, "our own"
    assert told.count("no ground truth by themselves") == 2, "before any number, and in the section"
    assert "annotated from reports" in told
    assert "a model&#39;s reading of reports" in told
    assert "kappa 0.10, less than 0.4" in told
    assert "the answer is empty" in told


def test_the_page_begins_with_the_finding_and_what_it_is_held_against(
    material: Material, page: str, composed: dict[str, Any]
) -> None:
    budget = _in_full(material).concept_budget
    assert budget is not None
    finding, *others = findings(budget)
    assert composed["finding"]["sentences"] == [finding, *others]
    assert finding.startswith("6 statements")
    assert page.index(str(escape(finding))) < page.index('id="cards"') < page.index('id="metrics"')


def test_every_reason_for_or_against_trust_is_told_and_the_worst_decides(
    material: Material,
) -> None:
    def trust(**update: object) -> dict[str, Any]:
        changed = replace(material, evaluation=material.evaluation.model_copy(update=update))
        told: dict[str, Any] = _page(changed)["finding"]["trust"]
        return told

    levels = {c.title: c.level for c in trust(pretraining_covers_test="no")["checks"]}
    assert levels["Pretraining"] == "good"
    assert levels["Test labels"] == "warn"
    assert levels["Leaks between splits"] == "warn"
    assert levels["Checks of the data"] == "warn"
    assert levels["Confounders"] == "unknown", "no shift was measured"
    seen = trust(pretraining_covers_test="yes")
    assert (seen["level"], seen["checks"][0].title) == ("bad", "Pretraining")
    first = {c.title: c.level for c in trust(earlier_readings=())["checks"]}
    assert first["Test labels"] == "good"


def test_weights_are_told_beside_the_mean_of_all_classes(
    composed: dict[str, Any],
) -> None:
    for card in _told(composed, "cards")["cards"]:
        assert sum(float(b["weight"]) for b in card["bars"]) == pytest.approx(0, abs=0.02)
        assert {b["for"] for b in card["bars"]} == {True, False}


def test_a_decision_is_told_by_what_set_it_ahead_of_the_second(
    material: Material, composed: dict[str, Any]
) -> None:
    head = material.probe.head("concept_bottleneck")
    ids = material.published.images["image_id"].tolist()
    for e, told in zip(
        _in_full(material).explanations, _told(composed, "explanations")["decisions"], strict=True
    ):
        scores = material.published.scores[ids.index(e.image_id)].astype(float)
        logits = sorted(head.logits(scores[None])[0])
        assert float(told["total"]) == pytest.approx(logits[-1] - logits[-2], abs=0.006)
        listed = sum(float(k["ahead"]) for k in told["concepts"])
        parts = float(told["start"]) + listed + float(told["rest"])
        assert parts == pytest.approx(float(told["total"]), abs=0.05)
        assert told["second"] != told["predicted"]


def test_every_class_says_which_concepts_call_it_and_one_never_called_says_so(
    material: Material,
) -> None:
    whole = _in_full(material)
    gone = material.published.class_keys[-1]
    kept = tuple(s for s in whole.strategies.strategies if s.class_key != gone)
    strategies = whole.strategies.model_copy(update={"strategies": kept})
    changed = replace(material, evaluation=whole.model_copy(update={"strategies": strategies}))
    page = _page(changed, "strategies")
    panels = _told(page, "strategies")["panels"]
    assert len(panels) == len(material.published.class_keys)
    assert [bool(p["strategies"]) for p in panels] == [True] * (len(panels) - 1) + [False]
    assert "Not computable: no validation image is called so" in render_page(page)
    for panel, key in zip(panels, material.published.class_keys, strict=True):
        of_class = [s for s in kept if s.class_key == key]
        told = [s["text"] for s in panel["strategies"]]
        assert told == [s.text for s in of_class[: len(told)]]
        rest = sum(s.images for s in of_class[len(told) :])
        assert bool(panel["rest"]) == (rest > 0)
        assert f"{rest} image" in panel["rest"] or not rest


def test_edits_are_told_with_what_they_did_and_whether_test_labels_were_read_before(
    material: Material,
) -> None:
    told = material.probe.head(EXPLAINED).facts.candidates[0]
    edit = Edit(concept_id=told.concept_id, text=told.text, operation="neutralise", editor=HOSTILE)
    probe = edit_probe(material.published, material.probe, Edits(study="x", edits=(edit,)))
    made = material.lineage[0].model_copy(update={"kind": "edits", "created_at": "2026-06-01T10"})

    labels = published_study(noise=1.5)[1]
    with unchecked():
        # Without a labelled concept: what is asked of these takes longest.
        facts = material.published.facts.model_copy(update={"labelled": ()})
        few = replace(material.published, facts=facts)
        measured = evaluate_heads(few, probe, labels, EvaluateSpec(resamples=100))

    def edited(read_at: str) -> Material:
        reading = TestReading(labels="a" * 64, study="x", at=read_at, asked="")
        evaluation = measured.model_copy(update={"earlier_readings": (reading,)})
        return replace(material, probe=probe, evaluation=evaluation, lineage=(made,))

    before = edits.compose(Draft(edited("2026-05-01T10"), ReportSpec(), PictureBook(_png, 32)))
    assert before is not None
    assert "had been read 1 time, first on 2026-05-01" in before["when"]
    after = compose_page(edited("2026-07-01T10"), _NO_WALL, PictureBook(_png, 32))
    section = _told(after, "edits")
    assert section["when"].endswith("before any test label was read.")
    assert section["edits"] == [edit.told]
    assert [row["metric"] for row in section["rows"]] == ["balanced accuracy", "macro AUROC"]
    check_hostile_text_stays_text(render_page(after))


def test_an_image_is_called_by_its_file_where_no_other_file_is_called_so(
    material: Material,
) -> None:
    images = material.dataset.images.copy()
    images["location"] = [f"folder/ISIC_{i // 2 if i < 2 else i}.jpg" for i in range(len(images))]
    named = replace(material, dataset=replace(material.dataset, images=images))
    draft = Draft(named, ReportSpec(), PictureBook(_png, 32))
    assert [draft.image_name(f"img{i:03d}") for i in range(3)] == ["img000", "img001", "ISIC_2"]


def test_a_file_named_like_its_patient_is_called_by_its_id(material: Material) -> None:
    images = material.dataset.images.copy()
    images["location"] = [f"P{500 + i}-left.jpg" for i in range(len(images))]
    images["subject"] = [f"P{500 + i if i else 900}" for i in range(len(images))]
    dataset = replace(material.dataset, images=images, synthetic=False)
    draft = Draft(replace(material, dataset=dataset), ReportSpec(), PictureBook(_png, 32))
    assert [draft.image_name(f"img{i:03d}") for i in range(2)] == ["P500-left", "img001"]


def test_thumbnails_say_class_and_reason(page: str) -> None:
    pictures = [a for _, a in tags_of(page) if (a.get("class") or "").split()[:1] == ["picture"]]
    told = [a["aria-label"] or "" for a in pictures if "absent" not in (a["class"] or "")]
    assert told
    assert all(text.startswith(("class ", "where ")) for text in told)


def test_tables_say_what_their_heads_are_heads_of(page: str) -> None:
    check_tables_say_what_their_heads_are_of(page)


def test_no_number_is_minus_nothing(page: str) -> None:
    assert not re.search(r"[-−+]0\.0+\b", page)
    assert [signed(v) for v in (0.0004, -0.0004, -0.0006, 0.5)] == [
        *("0.000", "0.000", "-0.001", "+0.500")
    ]


def test_every_candidate_is_a_row_with_what_became_of_it(
    composed: dict[str, Any],
) -> None:
    told = _told(composed, "concepts")
    states = [row["state"] for row in told["rows"]]
    assert [states.count(s) for s in ("selected", "passed, not selected")] == [6, 12]
    assert states[-1] == "dropped by visual"
    assert told["rows"][-1]["reason"] == HOSTILE


def test_a_further_question_is_told_where_its_section_stands(material: Material) -> None:
    def compose(draft: Draft) -> dict[str, Any]:
        return {"meaning": HOSTILE, "images": draft.material.evaluation.images}

    template = DictLoader({"sections/rarest.html.j2": "<p>{{ told.images }} asked</p>"})
    for place in ("top", "open", "numbers"):
        further = Section("rarest", "The rarest class", place, compose)
        shown = compose_page(
            material, ReportSpec(), PictureBook(_png, 32), (further, *SECTIONS[:1])
        )
        told = render_page(shown, template)
        images = material.evaluation.images
        assert f"<p>{images} asked</p>" in told
        assert told.count("<script>") == 1, "our own"
        before = told.index('id="trust"' if place == "top" else 'id="glossary"')
        assert told.index(f"{images} asked") < before


def test_every_question_has_a_section_and_a_template_of_its_name() -> None:
    asked = set(Evaluation.model_fields) - set(GuardedEvaluation.model_fields)
    asked -= {"resamples", "confidence", "interval"}
    assert asked <= {s.name for s in SECTIONS}


def _luminance(colour: str) -> float:
    """Return the relative luminance of `#rrggbb`; WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def _contrast(first: str, second: str) -> float:
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_stands_out_from_what_it_stands_on(page: str) -> None:
    for block in re.findall(r":root\{([^}]*)\}", page):
        colours = dict(re.findall(r"--([a-z-]+):(#[0-9a-f]{6}|#[0-9a-f]{3})\b", block))
        colours = {
            k: v if len(v) == 7 else "#" + "".join(c * 2 for c in v[1:]) for k, v in colours.items()
        }
        for text in ("ink", "soft", "accent", "against", "warn"):
            for ground in ("paper", "ground"):
                assert _contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        for text, ground in (
            *(("good", "good-tint"), ("against", "bad-tint"), ("warn", "warn-tint")),
            *(("soft", "tint"), ("ink", "warn-tint"), ("ink", "best"), ("ink", "right")),
            ("ink", "mistake"),
        ):
            assert _contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


def test_adaptations_are_told_with_what_they_measured_and_beside_the_sites_numbers(
    material: Material,
) -> None:
    facts = AdaptationFacts(
        study="x",
        site=HOSTILE,
        head=EXPLAINED,
        rung="shrunk offset",
        p_value=0.01,
        offset={},
        tried=(),
        support=(SupportImage(image_id="a", group="a", class_key=KEYS[0]),),
    )
    head = material.probe.head(EXPLAINED)
    adaptation = Adaptation(facts, Ref("heads", "0" * 20), head.weights, head.bias)
    result = AdaptationResult(
        adaptation="adaptation/" + "a" * 20,
        images=10,
        groups=9,
        left_out=2,
        classes=KEYS,
        before=Estimate(value=0.5, low=0.4, high=0.6),
        after=Estimate(value=0.6, low=0.5, high=0.7),
        gain=Estimate(value=0.1, low=0.0, high=0.2),
        confidence=0.95,
        readings=HOSTILE,
    )
    adapted = replace(material, adaptations=((adaptation, result),))
    page = compose_page(adapted, _NO_WALL, PictureBook(_png, 32))
    (row,) = _told(page, "adaptations")["rows"]
    assert row["images"] == "10 (9 groups), 2 left out"
    assert (row["before"], row["after"]) == ("0.500", "0.600")
    check_hostile_text_stays_text(render_page(page))
    said = adapted_sites(Draft(adapted, ReportSpec(), PictureBook(_png, 32)))
    assert "1 support image" in said
    assert "support images among them" in said
    assert not adapted_sites(Draft(material, ReportSpec(), PictureBook(_png, 32)))


def test_where_classes_have_an_order_it_is_told_how_far_off_decisions_are(
    composed: dict[str, Any], page: str
) -> None:
    told = _told(composed, "ordinal")
    assert told["order"] == "class a, class b, class c"
    assert {"concept bottleneck", "linear probe"} <= {row["head"] for row in told["rows"]}
    assert told["meaning"].startswith("In steps of the order ")
    assert "quadratic weighted kappa" in page


def test_where_classes_stand_in_a_tree_it_is_told_which_mistakes_leave_their_branch(
    composed: dict[str, Any],
) -> None:
    told = _told(composed, "taxonomy")
    assert [level["title"] for level in told["levels"]] == ["level 1", "the classes"]
    assert told["levels"][0]["nodes"] == f"{HOSTILE}, class c"
    assert {"concept bottleneck", "linear probe"} <= {row.head for row in told["rows"]}
    assert told["meaning"].startswith("Of the concept bottleneck's mistakes ")
