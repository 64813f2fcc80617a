"""A decision taken apart adds up and tells the strongest concepts."""

import numpy as np
import pytest
from scipy.special import softmax

from curette.schemas.probe import Head, HeadFacts
from curette.tasks.methods.explanation import (
    EXAMPLES,
    SHOWN,
    Explainer,
    ImageExplanation,
    printable,
)
from tests.builders.published_study import KEYS, published_study

PUBLISHED, TEST_LABELS = published_study()
TEST_ROW = int(PUBLISHED.rows("test")[0])


def a_head(concepts: int = 6, copies: int = 1, seed: int = 0) -> Head:
    """Return random weights on the first concepts of the pool, each `copies` times."""
    generator = np.random.default_rng(seed)
    candidates = PUBLISHED.pool[:concepts] * copies
    return Head(
        HeadFacts(
            name="concept bottleneck",
            kind="concept_bottleneck",
            family="concept bottleneck",
            inputs="scores",
            candidates=candidates,
            nec=1,
            chosen={},
            validation_loss=0,
            validation_balanced_accuracy=0,
        ),
        weights=generator.normal(size=(3, len(candidates))),
        bias=generator.normal(size=3),
        center=generator.normal(size=len(candidates)),
    )


def explained(head: Head, row: int = TEST_ROW) -> ImageExplanation:
    group = PUBLISHED.images["group"][row]
    return Explainer(PUBLISHED, head).explain(PUBLISHED.vectors[row], group)


@pytest.mark.parametrize("copies", [1, 9])
def test_parts_rest_and_start_add_up_to_the_lead(copies: int) -> None:
    head = a_head(copies=copies)
    concepts = np.tile(PUBLISHED.pool_vectors[:6].astype(float), (copies, 1))
    scores = concepts @ PUBLISHED.vectors[TEST_ROW]
    logits = head.weights @ scores + head.bias
    e = explained(head)
    assert [a.logit for a in e.answers] == pytest.approx(sorted(logits, reverse=True))
    assert [a.probability for a in e.answers] == pytest.approx(sorted(softmax(logits))[::-1])
    assert e.decision.name == f"class {KEYS[logits.argmax()]}"
    assert e.lead == pytest.approx(logits.max() - sorted(logits)[-2])
    assert sum(p.ahead for p in e.parts) + e.rest + e.start == pytest.approx(e.lead)


def test_what_counts_most_between_the_first_two_classes_is_told_what_is_for_it_first() -> None:
    head = a_head(copies=9)
    e = explained(head)
    concepts = np.tile(PUBLISHED.pool_vectors[:6].astype(float), (9, 1))
    scores = concepts @ PUBLISHED.vectors[TEST_ROW]
    second, first = np.argsort(head.weights @ scores + head.bias)[-2:]
    ahead = (head.weights[first] - head.weights[second]) * (scores - head.center)
    strongest = sorted(ahead, key=abs)[-SHOWN:]
    assert [p.ahead for p in e.parts] == pytest.approx(sorted(strongest, reverse=True))
    assert e.rest_count == 54 - SHOWN


def test_standing_is_counted_among_training_images() -> None:
    e, train = explained(a_head()), PUBLISHED.rows("train")
    for part in e.parts:
        [concept] = [i for i, c in enumerate(PUBLISHED.pool) if c.text == part.text]
        vectors = PUBLISHED.vectors.astype(float) @ PUBLISHED.pool_vectors[concept]
        assert part.standing == np.mean([vectors[i] < vectors[TEST_ROW] for i in train])


def test_examples_are_the_training_images_of_the_highest_scores() -> None:
    e = explained(a_head())
    ids, train = list(PUBLISHED.images["image_id"]), PUBLISHED.rows("train")
    assert e.examples
    towards = {c.text: v for c, v in zip(PUBLISHED.pool, PUBLISHED.pool_vectors, strict=True)}
    shown = [(towards[x.of], x.images) for x in e.examples]
    for vector, images in (*shown, (PUBLISHED.vectors[TEST_ROW], e.nearest)):
        cosines = PUBLISHED.vectors.astype(float) @ vector
        best = sorted(train, key=lambda i: -cosines[i])[:EXAMPLES]
        assert [x.image_id for x in images] == [ids[i] for i in best]
        assert [x.score for x in images] == pytest.approx(cosines[best])
        labels = [PUBLISHED.images["label"][i] for i in best]
        assert [x.class_name for x in images] == [f"class {k}" for k in labels]


def test_images_of_its_own_group_are_no_examples() -> None:
    row = int(PUBLISHED.rows("train")[0])
    group = PUBLISHED.images["group"][row]
    own = set(PUBLISHED.images.loc[PUBLISHED.images["group"] == group, "image_id"])
    e = explained(a_head(), row)
    assert not own & {
        x.image_id for images in (e.nearest, *(x.images for x in e.examples)) for x in images
    }
    strange = Explainer(PUBLISHED, a_head()).explain(PUBLISHED.vectors[row])
    assert strange.nearest[0].image_id in own


def test_what_would_steer_a_terminal_is_gone() -> None:
    assert printable("red\x1b[31m\n dots\u202e [bold]") == "red [31m dots [bold]"
