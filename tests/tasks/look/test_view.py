"""What a study shows: what searches find, and nothing of test images that nobody told."""

import numpy as np
import pytest

from curette.tasks.look.view import PER_PAGE, SHOWN
from tests.builders.look import PUBLISHED, TEST, study_view

VIEW = study_view()
SPLIT = dict(zip(PUBLISHED.images["image_id"], PUBLISHED.images["split"], strict=True))


def test_a_text_finds_the_images_of_the_highest_and_lowest_cosine_outside_the_test_split() -> None:
    vector = PUBLISHED.pool_vectors[0]
    found = VIEW.score(vector)
    by_hand = sorted(
        (-float(np.dot(v, vector)), i)
        for v, i in zip(PUBLISHED.vectors, PUBLISHED.images["image_id"], strict=True)
        if SPLIT[i] != "test"
    )
    assert [x.image.image_id for x in found.most] == [i for _, i in by_hand[:SHOWN]]
    assert [x.image.image_id for x in found.least] == [i for _, i in by_hand[::-1][:SHOWN]]
    assert [x.score for x in found.most] == pytest.approx(
        [-s for s, _ in by_hand[:SHOWN]], abs=1e-6
    )


def test_a_text_is_told_by_the_quartiles_of_each_class_in_training() -> None:
    vector = PUBLISHED.pool_vectors[0]
    all_classes, *classes = VIEW.score(vector).spreads
    train = PUBLISHED.images["split"] == "train"
    scores = PUBLISHED.vectors @ vector
    assert all_classes.images == train.sum()
    assert [s.class_key for s in classes] == ["a", "b", "c"]
    for s in classes:
        own = scores[(train & (PUBLISHED.images["label"] == s.class_key)).to_numpy()]
        expected = [np.percentile(own, q) for q in (25, 50, 75)]
        assert [s.low, s.median, s.high] == pytest.approx(expected)
    assert classes[0].median > max(s.median for s in classes[1:]), "it is a sign of that class"


def test_an_image_finds_the_nearest_training_images_but_not_itself() -> None:
    row = int(PUBLISHED.rows("train")[0])
    cosines = PUBLISHED.vectors @ PUBLISHED.vectors[row]
    cosines[row] = -1
    cosines[(PUBLISHED.images["split"] != "train").to_numpy()] = -1
    found = VIEW.nearest(row)
    assert [VIEW.rows[x.image.image_id] for x in found] == np.argsort(-cosines)[:SHOWN].tolist()
    assert found[0].same_group == (
        PUBLISHED.images["group"][VIEW.rows[found[0].image.image_id]]
        == PUBLISHED.images["group"][row]
    )


def test_an_image_shows_most_what_lies_most_deviations_above_training_images() -> None:
    vector = PUBLISHED.vectors[int(PUBLISHED.rows("validation")[0])]
    train = PUBLISHED.vectors[PUBLISHED.rows("train")]
    by_hand = []
    for candidate, text in zip(PUBLISHED.pool, PUBLISHED.pool_vectors, strict=True):
        usual = [float(np.dot(v, text)) for v in train]
        own = float(np.dot(vector, text))
        z = (own - np.mean(usual)) / np.std(usual)
        by_hand.append((-z, candidate.text, own, np.mean([u < own for u in usual])))
    by_hand = sorted(by_hand)[:SHOWN]
    found = VIEW.signs(vector)
    assert [x.statement.candidate.text for x in found] == [text for _, text, *_ in by_hand]
    assert [x.score for x in found] == pytest.approx([own for *_, own, _ in by_hand], abs=1e-6)
    assert [x.standing for x in found] == pytest.approx([share for *_, share in by_hand])


def test_nothing_is_told_of_test_images_that_the_evaluation_has_not_told() -> None:
    assert VIEW.wall(split="test").total == len(PUBLISHED.rows("test"))
    assert {(x.label, x.decided) for x in VIEW.wall(split="test").images} == {(None, None)}
    for key in PUBLISHED.class_keys:
        assert VIEW.wall(split="test", label=key).total == 0
        assert VIEW.wall(split="test", decided=key).total == 0
    assert VIEW.wall(split="test", wrong=True).total == 0
    told = study_view(told=True).wall(split="test").images
    assert {x.image_id: x.label for x in told}.items() <= TEST.labels.items()
    assert {x.decided for x in told} == {"a"}, "as the evaluation says, not as the head would"


def test_the_wall_shows_each_image_that_fits_once_page_by_page() -> None:
    first = VIEW.wall()
    pages = [VIEW.wall(page=p) for p in range(1, first.pages + 1)]
    assert [x.image_id for p in pages for x in p.images] == PUBLISHED.images["image_id"].tolist()
    assert all(len(p.images) <= PER_PAGE for p in pages)
    assert VIEW.wall(page=99).page == first.pages
    assert VIEW.wall(page=-3).page == 1
    fits = VIEW.wall(split="train", label="b").total
    table = PUBLISHED.images
    assert fits == ((table["split"] == "train") & (table["label"] == "b")).sum()
    wrong = VIEW.wall(wrong=True)
    assert 0 < wrong.total < len(table)
    assert all(x.label != x.decided for x in wrong.images)


def test_chosen_statements_stand_first_and_dropped_ones_last() -> None:
    kinds = [
        "chosen" if s.place else "dropped" if s.drop else "kept" for s in VIEW.statements.values()
    ]
    assert kinds == ["chosen"] * 6 + ["kept"] * 9 + ["dropped"] * 3
    assert [s.concept_id for s in VIEW.statements.values()][:6] == [*VIEW.chosen.ids]


def test_the_statements_most_like_a_text_are_those_of_the_largest_cosine() -> None:
    vector = PUBLISHED.pool_vectors[3]
    found = VIEW.alike(vector, but=PUBLISHED.pool[3].concept_id)
    cosines = PUBLISHED.pool_vectors @ vector
    cosines[3] = -1
    order = np.argsort(-cosines)
    assert [s.candidate.text for s, _ in found] == [PUBLISHED.pool[i].text for i in order[:6]]
    assert VIEW.vector_of("a text that nobody embedded") is None
