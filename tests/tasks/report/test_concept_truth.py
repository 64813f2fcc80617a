"""The page says what ground truth says of concepts, or why it says nothing."""

from curette.schemas.metrics import Estimate
from curette.schemas.questions.concept_truth import ConceptFinding, ConceptQuality
from curette.schemas.questions.interventions import InterventionCurve, Interventions, Propagation
from curette.tasks.report.sections.concept_truth import concept_truth_section
from curette.tasks.report.sections.interventions import interventions_section

SURE = Estimate(value=0.9, low=0.8, high=1.0)
UNSURE = Estimate(value=0.55, low=0.4, high=0.7)


def finding(text: str, auroc: Estimate | None, p: float | None) -> ConceptFinding:
    return ConceptFinding(
        concept_id=text,
        text=text,
        attribute="blue_veil",
        denied=True,
        score="text",
        present=1200,
        absent=300,
        auroc=auroc,
        within_class_auroc=None,
        normalised_ap=None,
        chance_95=None,
        p_value=p,
        family_p_value=p,
        importance=0.125,
    )


def test_the_overview_counts_what_is_found_among_what_varies() -> None:
    quality = ConceptQuality(
        labelled=3,
        unlabelled=7,
        findings=(
            finding("none", None, None),
            finding("luck", UNSURE, 0.3),
            finding("veil", SURE, 0.01),
        ),
    )
    section = concept_truth_section(quality, (), synthetic=True)
    assert section["overview"] == [
        "Of 10 selected concepts, what was drawn decides 3; of the others nothing here is known. "
        "The text finds 1 of 2 (median AUROC 0.725).",
        "The images are synthetic: this is about the drawing, not about skin.",
    ]
    assert [c["text"] for c in section["concepts"]] == ["veil", "luck", "none"]
    assert [c["is_found"] for c in section["concepts"]] == [True, False, False]
    assert section["concepts"][0]["shown"] == "1,200 of 1,500"
    assert section["concepts"][0]["decided_by"] == "not blue veil"
    assert section["meaning"] == "Scores find 1 of 2 (median AUROC 0.725)."


def test_labelled_concepts_without_a_function_are_counted() -> None:
    lines = (finding("veil", SURE, 0.01), finding("rare", UNSURE, 0.3), finding("dots", SURE, 0.01))
    grounded = lines[0].model_copy(update={"score": "grounded"})
    for texts, says in (
        (lines[:1], "(median AUROC 0.900)."),
        (lines[:2], "1 labelled concept has too few answers among the training images for a"),
        (lines, "2 labelled concepts have too few answers among the training images for a"),
    ):
        quality = ConceptQuality(labelled=len(texts), unlabelled=0, findings=(*texts, grounded))
        (overview,) = concept_truth_section(quality, (), synthetic=False)["overview"]
        assert says in overview
        assert ("too few" in overview) == (len(texts) > 1)


def test_without_ground_truth_the_section_says_why() -> None:
    quality = ConceptQuality(labelled=0, unlabelled=7, not_computable="nobody looked")
    section = concept_truth_section(quality, (), synthetic=False)
    assert section == {
        "meaning": "Not computable: nobody looked. Whether a score finds its concept cannot be "
        "said without."
    }


def test_interventions_tell_where_each_head_starts_and_ends() -> None:
    curve = InterventionCurve(
        head="sparse",
        head_kind="sparse",
        order="random",
        accuracy=(UNSURE, UNSURE, SURE),
    )
    made = Interventions(concepts=2, read_wrong=0.25, curves=(curve,))
    section = interventions_section(made)
    assert (
        "scores are wrong 25% of the time. Only the 2 labelled concepts can be corrected; all of "
        "them take accuracy from 0.550 to 0.900 (sparse). "
    ) in section["note"]
    assert section["steps"] == [0, 1, 2]


def test_propagation_is_told_by_what_was_measured() -> None:
    curve = InterventionCurve(
        head="sparse", head_kind="sparse", order="propagated", accuracy=(UNSURE, SURE)
    )
    nothing = Estimate(value=0.001, low=-0.01, high=0.012)
    gain = Propagation(
        head="sparse",
        head_kind="sparse",
        model="pairwise",
        accuracy=Estimate(value=0.05, low=0.02, high=0.08),
        accuracy_within=nothing,
        concepts=nothing,
        log_loss=nothing,
        log_loss_within=nothing,
    )
    made = Interventions(concepts=2, curves=(curve,), propagated=(gain,))
    told = interventions_section(made)["propagation"]
    assert "This raises the accuracy of the sparse by +0.050 [+0.020, +0.080]." in told
    assert "Nothing shows that this lowers the log loss of concepts not looked at (a gain" in told
    assert "Nothing shows that concepts depend on each other within classes here" in told
    within = gain.model_copy(update={"log_loss_within": gain.accuracy})
    shown = interventions_section(made.model_copy(update={"propagated": (within,)}))
    assert (
        "Concepts depend on each other within classes here: the class alone"
        in (shown["propagation"])
    )
