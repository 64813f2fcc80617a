"""The file of heads says of any image what the heads say, by nothing but what is in it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from curette.schemas.heads import EXPLAINED
from curette.schemas.probe import Head, Heads
from curette.tasks.export.probe import probe_section, write_probe
from curette.tasks.methods.features import head_features
from tests.builders.look import zero_shot_head
from tests.builders.published_study import DIM, KEYS, published_study

PUBLISHED, _ = published_study()
GENERATOR = np.random.default_rng(0)


def a_head(kind: str, inputs: str, features: int, **changes: object) -> Head:
    """Return a head of random weights on the selected concepts, the last of them first."""
    known = zero_shot_head(PUBLISHED)
    facts = known.facts.model_copy(
        update={
            "name": kind,
            "kind": kind,
            "inputs": inputs,
            "candidates": known.facts.candidates[::-1],
        }
    )
    made = Head(
        facts,
        weights=GENERATOR.normal(size=(len(KEYS), features)),
        bias=GENERATOR.normal(size=len(KEYS)),
        center=np.zeros(features),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


CONCEPTS = len(PUBLISHED.concepts)
GROUNDED = a_head("grounded", "scores", CONCEPTS, directions=GENERATOR.normal(size=(CONCEPTS, DIM)))
HEADS = Heads(
    KEYS,
    heads=(
        a_head(EXPLAINED, "scores", CONCEPTS),
        GROUNDED,
        a_head("hybrid", "scores and vectors", CONCEPTS + DIM),
        a_head("concept_matrix", "unit scores", CONCEPTS),
        a_head("random_concepts", "scores", CONCEPTS),
    ),
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "probe.safetensors"
    write_probe(path, PUBLISHED, HEADS, "a photo of {concept}")
    return path


@pytest.mark.parametrize("head", HEADS.heads[:4], ids=lambda head: head.facts.kind)
def test_a_vector_and_the_file_give_a_heads_logits(written: Path, head: Head) -> None:
    kind, rows = head.facts.kind, PUBLISHED.rows("test")
    with safe_open(written, "numpy") as file:
        features = json.loads(file.metadata()["curette"])["heads"][kind]["features"]
        t = {name: file.get_tensor(f"{kind}.{name}") for name in ("weights", "bias", "directions")}
    vectors = PUBLISHED.vectors[rows].astype(float)
    looked_at = vectors @ t["directions"].T
    if features == "unit scores":
        looked_at /= np.sqrt((looked_at**2).sum(axis=1, keepdims=True))
    if features == "scores and vectors":
        looked_at = np.hstack([looked_at, vectors])
    expected = head.logits(head_features(PUBLISHED, head, rows))
    np.testing.assert_allclose(looked_at @ t["weights"].T + t["bias"], expected)


def test_the_metadata_say_what_the_tensors_mean(written: Path) -> None:
    with safe_open(written, "numpy") as file:
        about = json.loads(file.metadata()["curette"])
        scale = file.get_tensor(f"{EXPLAINED}.scale")
    head = about["heads"][EXPLAINED]
    assert about["classes"] == list(KEYS)
    assert about["class_names"] == ["class a", "class b", "class c"]
    assert about["encoder"]["digest"] == "e" * 64
    assert about["encoder"]["text_template"] == "a photo of {concept}"
    assert [c["text"] for c in head["concepts"]] == [c.text for c in PUBLISHED.concepts][::-1]
    scores = PUBLISHED.scores[:, head["columns"]].astype(float)
    assert np.allclose(scale, scores[PUBLISHED.rows("train")].std(axis=0))


def test_only_what_somebody_may_decide_by_leaves(written: Path) -> None:
    with safe_open(written, "numpy") as file:
        kinds = {name.partition(".")[0] for name in file.keys()}  # noqa: SIM118 - it is no mapping
    assert kinds == {EXPLAINED, "grounded", "hybrid", "concept_matrix"}


def test_columns_of_scores_are_named_only_where_they_are_what_a_head_looks_at(
    written: Path,
) -> None:
    with safe_open(written, "numpy") as file:
        heads = json.loads(file.metadata()["curette"])["heads"]
    assert [kind for kind in heads if "columns" in heads[kind]] == [EXPLAINED]


def test_what_was_not_told_of_a_head_is_not_made_up() -> None:
    section = probe_section(PUBLISHED, HEADS, {EXPLAINED: "0.800 [0.700, 0.900]"})
    assert f"| `{EXPLAINED}` | `scores` | 6 | 0.800 [0.700, 0.900] |" in section
    assert "| `hybrid` | `scores`, then `vector` | 6 | not told |" in section
