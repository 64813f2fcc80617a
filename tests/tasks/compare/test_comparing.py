"""What differs between two studies is what was made to differ."""

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from curette.schemas.artifact import Manifest, Recipe
from curette.schemas.candidates import ReviewOrigin
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.heads import EXPLAINED
from curette.schemas.images import TestLabels
from curette.schemas.screened import Drop
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.compare.comparing import (
    FinishedStudy,
    concept_changes,
    paired_difference,
    same_test,
    setting_changes,
)
from curette.tasks.compare.page import comparison_page, since_then, tell_difference
from curette.tasks.evaluate.evaluation import evaluate_heads
from curette.tasks.probe.training import train_heads
from tests.builders.published_study import published_study
from tests.shapes import unchecked

HEAD = "concept bottleneck"


def finished(published: ConceptDataset, test: TestLabels, name: str) -> FinishedStudy:
    with unchecked():  # what is compared is given here, and checked where it is made
        probe = train_heads(published, ProbeSpec(epochs=5, random_draws=1, heads=()))
        evaluation = evaluate_heads(published, probe, test, EvaluateSpec(resamples=100))
    return FinishedStudy(name, published, probe.head(EXPLAINED), evaluation, ())


def with_concepts(published: ConceptDataset, texts: list[str]) -> ConceptDataset:
    """Return the dataset with these statements of its pool selected."""
    rows = [[c.text for c in published.pool].index(text) for text in texts]
    concepts = tuple(
        published.concepts[0].model_copy(
            update={"concept_id": published.pool[row].concept_id, "text": published.pool[row].text}
        )
        for row in rows
    )
    scores = published.vectors @ published.pool_vectors[rows].T
    return replace(published, concepts=concepts, scores=scores)


@pytest.fixture(scope="module")
def studies() -> tuple[FinishedStudy, FinishedStudy]:
    published, test = published_study(noise=1.2)
    few = with_concepts(published, ["sign 0 of a", "sign 5 of b"])
    return finished(published, test, "all"), finished(few, test, "few")


def test_the_difference_is_paired_over_the_groups_of_the_test_images(
    studies: tuple[FinishedStudy, FinishedStudy],
) -> None:
    first, other = studies
    told = paired_difference(first, other, HEAD)
    assert told is not None
    labels = np.array([p.label for p in first.evaluation.predictions])
    right = np.array(
        [
            [p.predicted[HEAD] == p.label for p in study.evaluation.predictions]
            for study in (first, other)
        ]
    )
    subjects = first.published.images["group"].to_numpy()[first.published.rows("test")]

    def lead(rows: np.ndarray) -> float:
        recalls = [
            right[:, rows][:, labels[rows] == key].mean(axis=1) for key in np.unique(labels[rows])
        ]
        accuracy = np.mean(recalls, axis=0)
        return float(accuracy[1] - accuracy[0])

    everything = np.arange(len(labels))
    assert told.value == pytest.approx(lead(everything))
    generator, names = np.random.default_rng(7), np.unique(subjects)
    drawn = [
        lead(
            np.concatenate([everything[subjects == s] for s in generator.choice(names, len(names))])
        )
        for _ in range(1500)
    ]
    assert told.low == pytest.approx(np.quantile(drawn, 0.025), abs=0.03)
    assert told.high == pytest.approx(np.quantile(drawn, 0.975), abs=0.03)


def test_a_study_is_not_ahead_of_itself(studies: tuple[FinishedStudy, FinishedStudy]) -> None:
    told = paired_difference(studies[0], studies[0], HEAD)
    assert told is not None
    assert (told.value, told.low, told.high) == (0, 0, 0)
    assert setting_changes(studies[0], studies[0]) == []
    assert {c.state for c in concept_changes(studies[0], studies[0])} == {"kept"}


def test_other_test_images_or_labels_are_never_paired(
    studies: tuple[FinishedStudy, FinishedStudy],
) -> None:
    first, other = studies
    told = list(other.evaluation.predictions)
    relabelled = [told[0].model_copy(update={"label": "c" if told[0].label != "c" else "a"})]
    for predictions in (told[1:], [*relabelled, *told[1:]]):
        changed = other.evaluation.model_copy(update={"predictions": tuple(predictions)})
        strange = replace(other, evaluation=changed)
        assert not same_test(first, strange)
        assert paired_difference(first, strange, HEAD) is None
    assert paired_difference(first, other, "no such head") is None


def test_concepts_are_kept_exchanged_dropped_or_added(
    studies: tuple[FinishedStudy, FinishedStudy],
) -> None:
    published, _ = published_study()
    first, other = (
        replace(studies[0], name=name, published=with_concepts(published, texts))
        for name, texts in (
            ("1", ["sign 0 of a", "sign 1 of b", "sign 4 of c"]),
            ("2", ["sign 0 of a", "sign 2 of b", "sign 5 of a"]),
        )
    )
    changes = concept_changes(first, other)
    assert [(c.state, c.before, c.after) for c in changes] == [
        ("kept", "sign 0 of a", "sign 0 of a"),
        ("exchanged", "sign 1 of b", "sign 2 of b"),
        ("dropped", "sign 4 of c", ""),
        ("added", "", "sign 5 of a"),
    ]
    rows = published.rows("train")
    expected = np.corrcoef(first.published.scores[rows, 1], other.published.scores[rows, 1])[0, 1]
    assert changes[1].alike == pytest.approx(expected, abs=1e-6)
    assert [c.why for c in changes[2:]] == [
        "2 let it through and did not choose it",
        "1 let it through and did not choose it",
    ]


def test_what_became_of_a_statement_has_its_reason(
    studies: tuple[FinishedStudy, FinishedStudy],
) -> None:
    published, _ = published_study()
    two = with_concepts(published, ["sign 0 of a", "sign 1 of b"])
    first = replace(studies[0], name="1", published=two)
    second = with_concepts(published, ["sign 0 of a", "sign 4 of c"])
    gone = published.pool[[c.text for c in published.pool].index("sign 1 of b")]
    review = ReviewOrigin(reviewer="R", reworded_from="sign 1 of b")
    changed = (
        second.concepts[0].model_copy(update={"classes": ("c",)}),
        second.concepts[1].model_copy(update={"origins": (review,)}),
    )
    dropped = Drop(candidate=gone, gate="visual", reason="nobody can see it")
    rows = [i for i, c in enumerate(second.pool) if c != gone]
    without = replace(
        second,
        pool=tuple(second.pool[i] for i in rows),
        pool_vectors=second.pool_vectors[rows],
        priors=tuple(p for p in second.priors if p.concept_id != gone.concept_id),
    )
    for concepts, drops, published, told in (
        (changed, (), second, ("reworded", "a reviewer chose other words")),
        (changed[:1], (dropped,), second, ("dropped", "2 dropped it (visual: nobody")),
        (changed[:1], (), without, ("dropped", "2 did not have it proposed")),
    ):
        scores = second.scores[:, : len(concepts)]
        now = replace(published, concepts=concepts, dropped=drops, scores=scores)
        kept, change = concept_changes(first, replace(first, name="2", published=now))
        assert kept.links == "no longer proposed for a; newly proposed for c"
        assert change.state == told[0]
        assert change.why.startswith(told[1])


def test_a_terminal_is_told_what_differs(studies: tuple[FinishedStudy, FinishedStudy]) -> None:
    first, other = studies
    lines = tell_difference(first, replace(other, name="few\x1b[31m"))
    assert "decides less well than all" in lines[0]
    assert any(line.startswith("- sign") and "(for " in line for line in lines)
    assert any(line.endswith("let it through and did not choose it") for line in lines)
    assert not any("\x1b" in line for line in lines)
    since = since_then(first, other)
    assert since.startswith("Since the last run: concepts: 4 dropped, 1 exchanged; balanced")
    assert since_then(first, first).startswith("Since the last run: the same concepts; balanced")


def manifest(stage: str, code: str, **spec: object) -> Manifest:
    return Manifest(
        kind=stage,
        layout=1,
        digest="0" * 20,
        files={},
        recipe=Recipe(stage=stage, code=code, spec=spec),
        code_commit=None,
        lock_sha256=None,
        python="",
        platform="",
        created_at="",
    )


def test_settings_that_differ_are_told_and_code_only_where_it_is_all_that_does(
    studies: tuple[FinishedStudy, FinishedStudy],
) -> None:
    lineages = (
        (manifest("ingest", "x"), manifest("select", "x", size="enough", ridge={"a": 1})),
        (
            manifest("ingest", "y"),
            manifest("select", "y", size=5, ridge={"a": 1}),
            manifest("edit", "z"),
        ),
    )
    first, other = (replace(s, lineage=m) for s, m in zip(studies, lineages, strict=True))
    told = [(c.stage, c.setting, c.before, c.after) for c in setting_changes(first, other)]
    assert told == [
        ("ingest", "code", "x", "y"),
        ("select", "size", "enough", "5"),
        ("edit", "", "", "run"),
    ]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)


def test_the_page_says_which_is_better_and_takes_no_text_for_markup(
    studies: tuple[FinishedStudy, FinishedStudy],
) -> None:
    first, other = studies
    evil = "<img src=x onerror=alert(1)>"
    page = comparison_page([first, replace(other, name=evil)])
    parser = _Tags()
    parser.feed(page)
    assert "img" not in parser.tags
    assert parser.tags.count("script") == 1
    assert "decides less well than all" in page
    assert "fitted to these images" in page
