"""What a round is worth and which classes it confuses, against counts and sums by hand."""

import numpy as np
import pytest

from curette.schemas.appraisal import Appraisal
from curette.schemas.artifact import StudyError
from curette.schemas.candidates import AskedAgain, Candidate, CandidateSet, LlmOrigin
from curette.schemas.concepts import ClassSelection, ConceptSet, Pick
from curette.schemas.llm import Usage
from curette.schemas.screened import ScreenedSet
from curette.tasks.appraise.appraisal import KnownImages, Proposed, appraise, confused_pairs
from tests.builders.screened import as_selected

KEYS = ("nv", "mel", "bcc")


def test_confusions_are_those_that_are_counted_one_by_one() -> None:
    rng = np.random.default_rng(0)
    truth, answers = rng.integers(0, 3, size=(2, 90))
    groups = np.array([f"patient {n}" for n in rng.integers(0, 12, size=90)])
    found = confused_pairs(truth, answers, groups, KEYS)
    assert {(p.first, p.second) for p in found} == {("nv", "mel"), ("nv", "bcc"), ("mel", "bcc")}
    for pair in found:
        a, b = KEYS.index(pair.first), KEYS.index(pair.second)
        there = [i for i in range(90) if (truth[i], answers[i]) == (a, b)]
        back = [i for i in range(90) if (truth[i], answers[i]) == (b, a)]
        assert (pair.first_as_second, pair.second_as_first) == (len(there), len(back))
        assert pair.groups == len({groups[i] for i in there + back})
        shares = len(there) / sum(truth == a) + len(back) / sum(truth == b)
        assert pair.rate == pytest.approx(shares / 2)
    assert [p.rate for p in found] == sorted((p.rate for p in found), reverse=True)


def test_views_of_one_lesion_are_one_group_and_a_rare_class_counts_as_much() -> None:
    truth = np.array([0] * 8 + [1] * 8 + [2] * 2)
    answers = np.array([0] * 6 + [1] * 2 + [1] * 8 + [2, 1])
    groups = np.array(["a"] * 4 + ["b"] * 4 + ["c"] * 8 + ["d", "e"])
    [often, less] = confused_pairs(truth, answers, groups, KEYS)
    assert (often.first, often.second, often.second_as_first, often.groups) == ("mel", "bcc", 1, 1)
    assert often.rate == pytest.approx((0 / 8 + 1 / 2) / 2)
    assert (less.first, less.second, less.first_as_second, less.groups) == ("nv", "mel", 2, 1)
    assert less.rate == pytest.approx((2 / 8 + 0 / 8) / 2)


def test_nothing_is_confused_where_every_answer_is_right() -> None:
    truth = np.array([0, 1, 2, 2])
    assert confused_pairs(truth, truth, np.array(["a", "b", "c", "d"]), KEYS) == []


def images(seed: int = 0, validation: int = 60) -> KnownImages:
    """Two dimensions tell three classes, one of them badly; groups are of three images."""
    rng = np.random.default_rng(seed)
    count = 120 + validation
    labels = np.arange(count) // 3 % 3
    centres = np.array([[2.0, 0.0, 0, 0], [-1.0, 1.0, 0, 0], [-1.0, -1.0, 0, 0]])
    vectors = (rng.normal(size=(count, 4)) + centres[labels]).astype(np.float32)
    return KnownImages(vectors, labels, np.arange(count) // 3, 120, KEYS)


def proposed(number: int, *rows: int) -> Proposed:
    """Concepts that are dimensions; the last of them came in the last round."""
    origins = [
        LlmOrigin(
            model="m",
            prompt="again",
            prompt_sha256="a",
            request_sha256="b",
            recorded=True,
            round=number if place == len(rows) - 1 else 1,
        )
        for place in range(len(rows))
    ]
    found = tuple(
        Candidate(text=f"dimension {row}", classes=KEYS, origins=(origin,))
        for row, origin in zip(rows, origins, strict=True)
    )
    about = (("nv", "mel"),)
    again = AskedAgain(number=number, about=about, usage=Usage(requests=3)) if number > 1 else None
    return Proposed(
        CandidateSet(candidates=found, source="", again=again),
        ScreenedSet(kept=found, dropped=(), gates=()),
        ConceptSet(
            method="explained_variance",
            concepts=tuple(as_selected(c) for c in found),
            selections=(
                ClassSelection(
                    class_key="nv",
                    pool=4,
                    picks=tuple(Pick(concept_id=c.concept_id, gain=0) for c in found),
                    value=1,
                    upper_bound=1,
                ),
            ),
        ),
        np.eye(4, dtype=np.float32)[list(rows)],
    )


def test_a_round_is_kept_only_if_it_gains_more_than_a_standard_error() -> None:
    known = images()
    first = appraise(known, proposed(1, 0), None)
    assert first.last.kept
    assert first.last.gain is None
    better = appraise(known, proposed(2, 0, 1), first)
    assert better.last.kept
    assert (better.last.proposed, better.last.screened, better.last.chosen) == (1, 1, 1)
    assert better.last.about == (("nv", "mel"),)
    assert better.last.usage.requests == 3
    assert better.rounds[0] == first.last
    same = appraise(known, proposed(3, 0, 1), better)
    assert same.last.gain == 0
    assert not same.last.kept


def test_gain_and_standard_error_are_those_of_sums_over_groups() -> None:
    known = images(1)
    first = appraise(known, proposed(1, 0), None)
    second = appraise(known, proposed(2, 0, 1), first)
    held = range(120, 180)
    less = {i: first.losses[i] - second.losses[i] for i in held}
    of_class = {k: [less[i] for i in held if known.labels[i] == k] for k in range(3)}
    means = {k: sum(d) / len(d) for k, d in of_class.items()}
    gain = sum(means.values()) / 3
    sums = dict.fromkeys(known.groups[120:], 0.0)
    for i in held:
        k = int(known.labels[i])
        sums[known.groups[i]] += (less[i] - means[k]) / (3 * len(of_class[k]))
    count = len(sums)
    error = (count / (count - 1) * sum(s**2 for s in sums.values())) ** 0.5
    assert second.last.gain == pytest.approx(gain)
    assert second.last.standard_error == pytest.approx(error)
    assert (second.images, second.groups) == (60, count)
    assert all(loss == 0 for loss in second.losses[:120]), "training images are not asked about"


def test_the_confused_are_the_validation_images_that_the_small_head_gets_wrong() -> None:
    known = images(2)
    made = appraise(known, proposed(1, 0), None)
    most = made.pairs[0]
    assert (most.first, most.second) == ("mel", "bcc"), "dimension 0 does not tell them apart"
    wrong = sum(p.first_as_second + p.second_as_first for p in made.pairs)
    assert 0 < wrong < 60
    moved = KnownImages(
        known.vectors, np.where(np.arange(180) < 120, known.labels, 0), known.groups, 120, KEYS
    )
    assert {p.first for p in appraise(moved, proposed(1, 0), None).pairs} == {"nv"}


def test_without_validation_images_it_says_what_to_change() -> None:
    with pytest.raises(StudyError, match=r"validation split is empty.*propose.rounds to 1"):
        appraise(images(validation=0), proposed(1, 0), None)


def test_rounds_are_counted_without_gaps() -> None:
    made = appraise(images(), proposed(1, 0), None)
    with pytest.raises(ValueError, match="none is left out"):
        Appraisal(**made.model_dump() | {"rounds": (made.last, made.last)})
