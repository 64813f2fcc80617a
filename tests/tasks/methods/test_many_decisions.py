"""Decisions about many images say of each what the card of that image alone says."""

import numpy as np
import pytest

from curette.tasks.methods.explanation import Explainer
from curette.tasks.methods.many_decisions import NEAREST, decide_many
from curette.tasks.methods.page.decision import compose_decision
from curette.tasks.methods.page.numbers import signed
from tests.tasks.methods.test_explanation import PUBLISHED, a_head

ROWS = np.arange(len(PUBLISHED.images))[::7]
ONE_IMAGE = 1.01 / len(PUBLISHED.rows("train"))
"""A training image's score may be lower than itself by rounding."""


@pytest.mark.parametrize("head", [a_head(6), a_head(18, copies=3), a_head(2)])
def test_each_is_as_its_card_has_it(head: object) -> None:
    explainer = Explainer(PUBLISHED, head)  # type: ignore[arg-type]
    many = decide_many(explainer, ROWS)
    texts = [c.text for c in explainer.head.facts.candidates]
    names = [c.name for c in PUBLISHED.facts.classes]
    ids = PUBLISHED.images["image_id"].to_numpy()
    for i, row in enumerate(ROWS):
        group = str(PUBLISHED.images["group"].iloc[row])
        alone = explainer.explain(PUBLISHED.vectors[row], group)
        card = compose_decision(alone, {})
        assert names[many.decided[i]] == card["predicted"]
        assert names[many.second[i]] == card["second"]
        assert f"{many.probability[i]:.0%}" == card["probability"]
        listed = many.concepts[i] >= 0
        told = list(zip(many.concepts[i][listed], many.ahead[i][listed], strict=True))
        assert [(texts[j], signed(a, 2)) for j, a in told] == [
            (k["text"], k["ahead"]) for k in card["concepts"]
        ]
        assert signed(many.rest[i], 2) == card["rest"]
        assert signed(many.start[i], 2) == card["start"]
        assert many.lead[i] == pytest.approx(alone.lead)
        assert ids[many.nearest[i]].tolist() == [x.image_id for x in alone.nearest[:NEAREST]]
        assert many.unlike[i] == (alone.nearest[0].score < explainer.least_usual)
        by_concept = {p.text: p.standing for p in alone.parts}
        if len(set(texts)) == len(texts):
            assert many.standing[i][listed].tolist() == pytest.approx(
                [by_concept[texts[j]] for j, _ in told], abs=ONE_IMAGE
            )
