"""New images are held against known ones, and what moved is named."""

import json
from dataclasses import replace

import numpy as np
import pytest

from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.drift import DriftFacts
from curette.schemas.heads import EXPLAINED
from curette.schemas.probe import Head
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.drift.comparing import Asked, Batch, Found, find_drift, statements_asked
from curette.tasks.drift.page import drift_page, sentence, tell
from curette.tasks.probe.training import train_heads
from tests.builders.published_study import published_study
from tests.pages import HOSTILE, check_asks_nobody, check_hostile_text_stays_text

Known = tuple[ConceptDataset, Head, Asked]


@pytest.fixture(scope="module")
def known() -> Known:
    published, _ = published_study()
    head = train_heads(published, ProbeSpec(epochs=5, random_draws=1, heads=())).head(EXPLAINED)
    ruler = np.zeros((1, published.vectors.shape[1]), np.float32)
    ruler[0, 0] = 1
    return published, head, statements_asked(published, head, ["ruler"], ruler)


def new_images(known: Known, toward: float = 0.0) -> Batch:
    published, _, asked = known
    rows = published.rows("test")
    vectors = published.vectors[rows] + np.float32(toward) * asked.vectors[-1]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Batch(vectors, published.images["group"].to_numpy(dtype=str)[rows])


def facts_of(known: Known, found: Found, batch: Batch, batch_name: str = "week 7") -> DriftFacts:
    return DriftFacts(
        study="small",
        batch=batch_name,
        published=str(Ref("concept-dataset", "0")),
        probe=str(Ref("heads", "0")),
        checked_on="2026-11-30",
        images=len(batch.vectors),
        groups=len(set(batch.groups)),
        known=0,
        refused=0,
        level=0.05,
        **{name: getattr(found, name) for name in found.__dataclass_fields__},
    )


def test_held_out_images_of_the_same_kind_show_no_drift(known: Known) -> None:
    batch = new_images(known)
    found = find_drift(*known, batch, 0.05)
    facts = facts_of(known, found, batch)
    assert not facts.found
    assert facts.told == ()
    assert sentence(facts).startswith("These images show no drift that could not be chance")
    assert found.reference_images == sum(len(known[0].rows(s)) for s in ("train", "validation"))


def test_what_moved_is_named_first_with_its_direction(known: Known) -> None:
    for toward, word in ((1.5, "more"), (-1.5, "less")):
        batch = new_images(known, toward)
        facts = facts_of(known, find_drift(*known, batch, 0.05), batch)
        assert facts.found
        first = facts.statements[facts.told[0]]
        assert (first.text, first.asked_of) == ("ruler", "picture")
        assert (first.above > 0.5) == (toward > 0)
        assert f"{word} “ruler”" in sentence(facts)
        assert abs(first.moved) > 1


def test_what_the_class_mix_explains_is_told_apart(known: Known) -> None:
    published, head, asked = known
    rows = np.concatenate([published.rows("train"), published.rows("validation")])
    labels = published.images["label"].to_numpy()[rows]
    of_a = rows[labels == "a"]
    groups = np.char.add("again ", published.images["group"].to_numpy(dtype=str)[of_a])
    found = find_drift(published, head, asked, Batch(published.vectors[of_a], groups), 0.05)
    mix = {m.class_key: m.now.value for m in found.mix}
    assert mix["a"] > 0.8
    sign = next(s for s in found.statements if s.text == "sign 0 of a")
    assert sign.moved > 0.5
    assert sign.by_mix == pytest.approx(sign.moved, abs=0.3 * sign.moved)


def test_images_unlike_all_training_images_are_drift(known: Known) -> None:
    published, head, asked = known
    batch = new_images(known)
    strange = np.linalg.svd(published.vectors)[2][-1].astype(np.float32)
    vectors = batch.vectors.copy()
    vectors[::3] = strange
    found = find_drift(published, head, asked, replace(batch, vectors=vectors), 0.05)
    assert found.unlike_now > found.unlike_before + 0.2
    assert next(t for t in found.tests if t.name == "beyond").corrected < 0.05


def test_known_groups_are_left_out_and_no_test_label_is_asked_for(known: Known) -> None:
    published, head, asked = known
    group = published.images["group"].astype(str).iloc[published.rows("train")[0]]
    batch = replace(new_images(known), known_groups=frozenset([group]))
    found = find_drift(published, head, asked, batch, 0.05)
    everything = find_drift(*known, new_images(known), 0.05)
    assert found.reference_images == everything.reference_images - 2
    assert found.reference_groups == everything.reference_groups - 1


def test_equal_images_give_equal_answers(known: Known) -> None:
    told = [find_drift(*known, new_images(known, 0.3), 0.05) for _ in range(2)]
    batch = new_images(known, 0.3)
    first, second = (facts_of(known, found, batch).model_dump(mode="json") for found in told)
    assert json.dumps(first) == json.dumps(second)


def test_the_page_keeps_every_text_text_and_asks_nobody(known: Known) -> None:
    published, head, asked = known
    hostile = replace(asked, texts=(*asked.texts[:-1], HOSTILE))
    batch = new_images(known, 1.5)
    facts = facts_of(known, find_drift(published, head, hostile, batch, 0.05), batch, HOSTILE)
    page = drift_page(facts, published)
    check_hostile_text_stays_text(page)
    check_asks_nobody(page)
    assert "more" in page
    assert any("unlike all training images" in line for line in tell(facts))
