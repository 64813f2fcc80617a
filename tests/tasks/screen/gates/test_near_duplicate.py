"""Same words, same meaning, indistinguishable: what is merged, what is told, what comes back."""

from collections.abc import Sequence

import numpy as np
import pytest
from jaxtyping import Float32

from curette.schemas.candidates import Candidate, CandidateSet, FileOrigin, concept_id
from curette.schemas.embeddings import EncoderIdentity, TextEmbeddings
from curette.schemas.images import ClassLabel
from curette.schemas.llm import Usage
from curette.schemas.screened import ScreenedSet
from curette.schemas.settings.screen import ScreenSpec
from curette.tasks.screen.gate import Circumstances
from curette.tasks.screen.gates.near_duplicate import NearDuplicate
from curette.tasks.screen.screening import screen
from curette.tasks.screen.training import TrainingImages

CLASSES = tuple(ClassLabel(key=key, name=f"class {key}") for key in "abc")
DIM = 64
UNRELATED = [f"word{n} thing{n}" for n in range(60)]


def proposed(texts: dict[str, str]) -> CandidateSet:
    """Return candidates from `text -> class keys`, each class an origin of its own."""
    return CandidateSet(
        candidates=tuple(
            Candidate(
                text=text,
                classes=tuple(keys),
                origins=tuple(FileOrigin(file=key, line=line + 1) for key in keys),
            )
            for line, (text, keys) in enumerate(texts.items())
        ),
        source="by hand",
    )


def run(
    texts: dict[str, str],
    *gates: object,
    alike: Sequence[tuple[str, str]] = (),
    images: Float32[np.ndarray, "image dim"] | None = None,
) -> ScreenedSet:
    """Screen the texts among unrelated ones; `alike` are nearly one vector, as towers have it.

    All vectors share a large template, so that every raw cosine is above .9.
    """
    everything = texts | dict.fromkeys(UNRELATED, "a")
    generator = np.random.default_rng(0)
    rows = {text: generator.normal(size=DIM) for text in everything}
    for one, other in alike:
        rows[other] = rows[one] + 0.3 * generator.normal(size=DIM)
    table = np.array([*rows.values()]) + 5 * np.ones(DIM)
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    encoder = EncoderIdentity(name="by hand", digest="0" * 64, dim=DIM, demo=False)
    vectors = TextEmbeddings(tuple(rows), table.astype(np.float32), encoder)
    shown = TrainingImages(images, {}, 3) if images is not None else None
    known = Circumstances(CLASSES, vectors, shown, embed=lambda t, m: (_read(t), Usage(requests=1)))
    spec = ScreenSpec.model_validate({"gates": gates or ("near_duplicate",)})
    return screen(proposed(everything), known, spec)


def _read(texts: Sequence[str]) -> Float32[np.ndarray, "text dim"]:
    """Encode sentences so that all about borders are alike, and nothing else."""
    rows = np.random.default_rng(1).normal(size=(len(texts), DIM))
    border = np.random.default_rng(2).normal(size=DIM)
    for row, text in enumerate(texts):
        rows[row] = border + 0.2 * rows[row] if "border" in text else rows[row]
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def folded(screened: ScreenedSet) -> dict[str, str]:
    return {d.candidate.text: str(d.evidence["kept"]) for d in screened.dropped}


def test_synonyms_are_the_same_words_whatever_the_tower_says() -> None:
    screened = run({"small red dots": "ab", "tiny reddish dots": "c"})
    assert folded(screened) == {"tiny reddish dots": "small red dots"}
    (drop,) = screened.dropped
    assert drop.reason == "says in other words the same as 'small red dots'"
    assert drop.evidence["same"] == "words"
    assert screened.kept[0].classes == ("a", "b", "c")


def test_the_same_finding_is_the_same_meaning_only_where_the_tower_agrees() -> None:
    texts = {"blue coloration": "ab", "blue structures or pigmentation": "c"}
    assert run(texts).dropped == ()
    screened = run(texts, alike=[("blue coloration", "blue structures or pigmentation")])
    assert folded(screened) == {"blue structures or pigmentation": "blue coloration"}
    evidence = screened.dropped[0].evidence
    assert evidence["same"] == "meaning"
    assert evidence["cosine"] > evidence["least_cosine"] > 0.1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("raised rim", "flat rim"),
        ("raised, hard", "raised, red"),
        ("2 nuclei", "3 nuclei"),
        ("oval shape", "jagged border"),
        ("left lung opacity", "right lung opacity"),
        ("visible vessels", "no visible vessels"),
        ("tiny", "a regular"),
    ],
)
def test_what_an_encoder_confuses_stays_two_statements(one: str, other: str) -> None:
    texts = {one: "ab", other: "c"}
    assert run(texts, alike=[(one, other)]).dropped == ()
    read = {"kind": "near_duplicate", "sentences": "by-hand"}
    assert run(texts, read, alike=[(one, other)]).dropped == ()


def test_an_absolute_cosine_takes_the_place_of_calibration_but_not_of_opposites() -> None:
    texts = {"notched border": "a", "scalloped border": "b", "flat rim": "a", "raised rim": "b"}
    pairs = [("notched border", "scalloped border"), ("flat rim", "raised rim")]
    screened = run(texts, NearDuplicate(cosine=0.99), alike=pairs)
    assert folded(screened) == {"scalloped border": "notched border"}


def test_a_sentence_encoder_and_the_tower_must_agree() -> None:
    texts = {"notched border": "ab", "scalloped border": "b", "scalloped rim": "c"}
    reading = {"kind": "near_duplicate", "sentences": "by-hand"}
    assert run(texts, reading).dropped == ()  # the tower does not agree
    tower = [("notched border", "scalloped border"), ("notched border", "scalloped rim")]
    screened = run(texts, reading, alike=tower)
    assert folded(screened) == {"scalloped border": "notched border"}
    assert screened.usage.requests == 1
    assert {"least_cosine", "least_tower_cosine"} <= screened.dropped[0].evidence.keys()


def test_what_scores_cannot_tell_apart_is_told_and_kept() -> None:
    images = np.random.default_rng(3).normal(size=(200, DIM)).astype(np.float32)
    images[:, DIM // 2 :] = 0  # this encoder sees half of what texts say
    texts = {"blue veil": "ab", "white scale": "b", "red dots": "c"}
    screened = run(
        texts,
        {"kind": "near_duplicate", "correlation": 0.9},
        alike=[("blue veil", "white scale")],
        images=images,
    )
    assert screened.dropped == ()
    (flag,) = screened.flags
    assert flag.concept_ids == (concept_id("blue veil"), concept_id("white scale"))
    assert flag.evidence["same"] == "to this encoder"
    assert "cannot tell 'blue veil' from 1 others" in flag.warning


def test_vacuity_judges_what_was_proposed_and_not_what_was_taken_over() -> None:
    gates = ("exact_duplicate", "near_duplicate", "vacuity")
    texts = {"small red dots": "ab", "tiny reddish dots": "c"}
    screened = run(texts, *gates)
    assert screened.kept[0].classes == ("a", "b", "c")
    assert not [d for d in screened.dropped if d.gate == "vacuity"]
    both = run({"small red dots": "abc"}, *gates)
    assert [d.gate for d in both.dropped] == ["vacuity"]


def test_a_dropped_representative_releases_its_members() -> None:
    gates = ("exact_duplicate", "near_duplicate", "vacuity")
    texts = {
        "small red dots": "abc",
        "tiny reddish dots": "a",
        "dots, tiny and reddish": "b",
        "minute red dots": "c",
    }
    screened = run(texts, *gates)
    assert {d.candidate.text: d.gate for d in screened.dropped} == {
        "small red dots": "vacuity",
        "dots, tiny and reddish": "exact_duplicate",
        "minute red dots": "near_duplicate",
    }
    family = next(f for f in screened.families)
    assert len(family.members) == 2
    kept = next(c for c in screened.kept if c.concept_id == family.concept_id)
    assert kept.classes == ("a", "b", "c")


def test_a_concept_that_stands_for_many_is_warned_of() -> None:
    texts = {
        f"{size} {color} dots": "a"
        for size in ("small", "tiny", "minute")
        for color in ("red", "reddish")
    }
    screened = run(texts)
    (flag,) = screened.flags
    assert flag.evidence["members"] == 5
    assert "stands for 5 others, 8% of all that was proposed" in flag.warning
