"""A decision taken apart adds up, tells the strongest concepts, and never a test label."""

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

from curette.schemas.probe import Head, HeadFacts
from curette.tasks.report.explanation import (
    EXAMPLES,
    SHOWN,
    ImageExplanation,
    explain_image,
    printable,
)
from curette.tasks.report.explanation_picture import SeenConcept, draw_explanation
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
    return explain_image(PUBLISHED, head, PUBLISHED.vectors[row], PUBLISHED.images["group"][row])


@pytest.mark.parametrize("copies", [1, 9])
def test_parts_rest_and_baseline_add_up_to_the_logit(copies: int) -> None:
    head = a_head(copies=copies)
    concepts = np.tile(PUBLISHED.pool_vectors[:6].astype(float), (copies, 1))
    logits = head.weights @ (concepts @ PUBLISHED.vectors[TEST_ROW]) + head.bias
    e = explained(head)
    assert [a.logit for a in e.answers] == pytest.approx(sorted(logits, reverse=True))
    assert [a.probability for a in e.answers] == pytest.approx(sorted(softmax(logits))[::-1])
    assert e.decision.name == f"class {KEYS[logits.argmax()]}"
    assert sum(p.added for p in e.parts) + e.rest + e.baseline == pytest.approx(logits.max())
    lead = sum(p.ahead for p in e.parts) + e.rest_ahead + e.baseline_ahead
    assert lead == pytest.approx(logits.max() - sorted(logits)[-2])
    for part in e.parts:
        assert part.added == pytest.approx(part.weight * (part.score - part.mean))


def test_the_strongest_32_are_told_the_most_speaking_for_it_first() -> None:
    head = a_head(copies=9)
    e = explained(head)
    concepts = np.tile(PUBLISHED.pool_vectors[:6].astype(float), (9, 1))
    scores = concepts @ PUBLISHED.vectors[TEST_ROW]
    logits = head.weights @ scores + head.bias
    added = head.weights[logits.argmax()] * (scores - head.center)
    strongest = sorted(added, key=abs)[-SHOWN:]
    assert [p.added for p in e.parts] == pytest.approx(sorted(strongest, reverse=True))
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
    assert len(e.examples) > 1
    for examples in e.examples:
        towards = [
            PUBLISHED.pool_vectors[i] for i, c in enumerate(PUBLISHED.pool) if c.text == examples.of
        ] or [PUBLISHED.vectors[TEST_ROW]]
        cosines = PUBLISHED.vectors.astype(float) @ towards[0]
        best = sorted(train, key=lambda i: -cosines[i])[:EXAMPLES]
        assert [x.image_id for x in examples.images] == [ids[i] for i in best]
        assert [x.score for x in examples.images] == pytest.approx(cosines[best])
        labels = [PUBLISHED.images["label"][i] for i in best]
        assert [x.class_name for x in examples.images] == [f"class {k}" for k in labels]


def test_images_of_its_own_group_are_no_examples() -> None:
    row = int(PUBLISHED.rows("train")[0])
    group = PUBLISHED.images["group"][row]
    own = set(PUBLISHED.images.loc[PUBLISHED.images["group"] == group, "image_id"])
    shown = {x.image_id for examples in explained(a_head(), row).examples for x in examples.images}
    assert not own & shown
    strange = explain_image(PUBLISHED, a_head(), PUBLISHED.vectors[row], None)
    assert strange.examples[-1].images[0].image_id in own


def test_what_would_steer_a_terminal_is_gone() -> None:
    assert printable("red\x1b[31m\n dots\u202e [bold]") == "red [31m dots [bold]"


def test_the_picture_holds_image_bars_and_examples() -> None:
    e = explained(a_head())
    image = Image.new("RGB", (40, 20), (1, 200, 3))
    asked: list[str] = []

    def pixels(image_id: str) -> Image.Image | None:
        asked.append(image_id)
        return Image.new("RGB", (30, 30), (250, 4, 250)) if len(asked) == 1 else None

    picture = draw_explanation(e, "an image", "test split", image, pixels)
    colours = {colour: count for count, colour in picture.getcolors(1 << 20) or []}
    assert colours[1, 200, 3] == 300 * 150
    assert colours[250, 4, 250] == 120 * 120
    assert asked == [x.image_id for examples in e.examples for x in examples.images]
    assert picture.getbbox() is not None and picture.width == 1200


def test_where_concepts_are_seen_is_drawn_in_a_row_of_its_own() -> None:
    e = explained(a_head())
    seen = [SeenConcept(f"a sign {i}", Image.new("RGB", (9, 9), (9, 8, i))) for i in range(3)]
    without, picture = (
        draw_explanation(e, "a", "b", None, lambda _: None, shown) for shown in ((), seen)
    )
    assert picture.height > without.height
    colours = {colour: count for count, colour in picture.getcolors(1 << 20) or []}
    assert [colours[9, 8, i] for i in range(3)] == [120 * 120] * 3


def test_longest_bar_has_one_length_whatever_the_weights() -> None:
    def longest(scale: float) -> int:
        head = a_head(seed=3)
        scaled = Head(head.facts, head.weights * scale, head.bias * scale, head.center)
        picture = draw_explanation(explained(scaled), "a", "b", None, lambda _: None)
        bars = np.asarray(picture)[400:700, 560:]
        blue, orange = ((bars == colour).all(axis=2).sum(axis=1).max() for colour in COLOURS)
        return int(max(blue, orange))

    assert longest(1) == longest(100) == 241


COLOURS = (0x2B, 0x6C, 0xB0), (0xC0, 0x56, 0x21)
