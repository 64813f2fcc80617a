"""Findings are measured as scikit-learn does, on resamples that they share."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score

from curette.schemas.findings import FindingMetric, FindingsFacts
from curette.schemas.heads import EXPLAINED
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.tasks.findings.measuring import count_together, measure_findings
from curette.tasks.findings.page import findings_page, value_of
from tests.builders.findings import studied_finding
from tests.pages import HOSTILE, check_hostile_text_stays_text

SPEC = EvaluateSpec(resamples=200)


def measured(*keys: str, unclear: int = 0) -> FindingsFacts:
    made = [studied_finding(key, unclear) for key in keys]
    return measure_findings("chest", [f for f, _ in made], [test for _, test in made], SPEC)


def test_the_numbers_of_a_finding_are_those_of_scikit_learn() -> None:
    finding, test = studied_finding("b")
    facts = measure_findings("chest", [finding], [test], SPEC)
    published = finding.published
    rows = published.rows("test")
    shown = np.array([test.labels[i] == "b" for i in published.images["image_id"].iloc[rows]])
    scores = published.vectors[rows] @ finding.heads.head(EXPLAINED).weights[0]
    wanted: dict[FindingMetric, float] = {
        "auroc": roc_auc_score(shown, scores),
        "average_precision": average_precision_score(shown, scores),
        "balanced_accuracy": balanced_accuracy_score(shown, scores > 0),
    }
    for name, expected in wanted.items():
        told = value_of(facts.rows[0].values, EXPLAINED, name)
        assert told is not None
        assert told.value == pytest.approx(expected)
        assert told.low <= told.value <= told.high


def test_the_mean_over_findings_is_of_resamples_that_all_share() -> None:
    facts = measured("a", "b", unclear=30)
    told = [value_of(row.values) for row in facts.rows]
    mean = value_of(facts.means)
    assert mean is not None
    assert mean.value == pytest.approx(np.mean([t.value for t in told if t]))
    # Of one finding twice over the mean is as uncertain as it is itself: nothing cancels.
    twice = measured("a", "a")
    assert value_of(twice.means) == value_of(twice.rows[0].values)


def test_random_concepts_are_the_mean_of_their_draws() -> None:
    finding, test = studied_finding("c")
    facts = measure_findings("chest", [finding], [test], SPEC)
    rows = finding.published.rows("test")
    ids = finding.published.images["image_id"].iloc[rows]
    shown = [test.labels[i] == "c" for i in ids]
    areas = [
        roc_auc_score(shown, finding.published.vectors[rows] @ head.weights[0])
        for head in finding.heads.heads
        if head.facts.kind == "random_concepts"
    ]
    told = value_of(facts.rows[0].values, "random_concepts")
    assert told is not None
    assert told.value == pytest.approx(np.mean(areas))


def test_findings_are_counted_together_where_both_are_known() -> None:
    made = [studied_finding("a")[0].dataset, studied_finding("b", unclear=30)[0].dataset]
    pairs = {(p.first, p.second): p for p in count_together(["a", "b"], made)}
    known = set(made[0].images["image_id"]) & set(made[1].images["image_id"])
    train = made[0].images[made[0].images["split"] == "train"]
    train = train[train["image_id"].isin(known)]
    pair = pairs["a", "b"]
    assert (pair.both, pair.known) == (0, len(train))
    assert pair.first_of_known == int((train["label"] == "a").sum())


def test_the_page_leads_to_each_report_and_hostile_names_stay_text() -> None:
    facts = measured("a", "b")
    rows = tuple(row.model_copy(update={"name": HOSTILE}) for row in facts.rows)
    page = findings_page(facts.model_copy(update={"rows": rows, "study": HOSTILE}), synthetic=True)
    check_hostile_text_stays_text(page)
    assert f'href="../../report/{"b" * 20}/report.html"' in page
    assert "drawn by curette itself" in page
    assert "mean over findings" in page
