"""The gates together: nothing is lost, nothing comes back, links stay."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.artifact import Ref, StudyError
from schemas.candidates import Candidate, CandidateSet, FileOrigin, concept_id
from schemas.embeddings import EncoderIdentity, TextEmbeddings
from schemas.images import ClassLabel
from schemas.screened import GateName, ScreenedSet, ScreenSpec
from tasks.screen.class_leak import find_leak, read_class_names
from tasks.screen.gates import require_every_class, screen
from tasks.screen.words import words

CLASSES = (
    ClassLabel(key="mel", name="melanoma"),
    ClassLabel(key="nv", name="melanocytic nevus", synonyms=("mole",)),
    ClassLabel(key="vasc", name="vascular lesion"),
)
DIM = 8


def candidates(**texts: str) -> CandidateSet:
    """Return candidates from `class_class="text | text"`."""
    made = [
        Candidate(
            text=text.strip(),
            classes=tuple(keys.split("_")),
            origins=(FileOrigin(file=keys, line=line + 1),),
        )
        for keys, listed in texts.items()
        for line, text in enumerate(listed.split("|"))
    ]
    return CandidateSet(candidates=tuple(made), source="by hand")


def vectors(texts: Sequence[str], alike: Sequence[tuple[str, str]] = ()) -> TextEmbeddings:
    """Return a vector a text, far from all others except for pairs that are `alike`."""
    generator = np.random.default_rng(0)
    rows = {text: generator.normal(size=64) for text in texts}
    for one, other in alike:
        rows[other] = rows[one] + 0.01 * generator.normal(size=64)
    table = np.array([rows[t] / np.linalg.norm(rows[t]) for t in texts], dtype=np.float32)
    encoder = EncoderIdentity(name="by hand", digest="0" * 64, dim=64, demo=False)
    return TextEmbeddings(tuple(texts), table.reshape(-1, 64), encoder)


def run(
    proposed: CandidateSet,
    spec: ScreenSpec | None = None,
    alike: Sequence[tuple[str, str]] = (),
) -> ScreenedSet:
    texts = [c.text for c in proposed.candidates]
    return screen(proposed, CLASSES, vectors(texts, alike), spec or ScreenSpec())


PROPOSED = candidates(
    mel="cryotherapy | over time | blue-white veil | looks like a melanoma"
    " | colours vary depending on | irregular border | dark brown lesion",
    nv_vasc="The borders are irregular | blonde or red hair | deep brown lesion"
    " | wear protective clothing",
    vasc="red lacunae | firm to the touch | scaly surface | vascular lesions | of",
    nv="nevi with dots | " + "very " * 30 + "brown",
)
ALIKE = [("dark brown lesion", "deep brown lesion")]


def test_every_candidate_meets_the_gate_it_should() -> None:
    screened = run(PROPOSED, alike=ALIKE)
    assert {d.candidate.text: d.gate for d in screened.dropped} == {
        "cryotherapy": "visual",
        "over time": "visual",
        "looks like a melanoma": "class_leak",
        "colours vary depending on": "visual",
        "irregular border": "exact_duplicate",
        "dark brown lesion": "near_duplicate",
        "blonde or red hair": "visual",
        "wear protective clothing": "visual",
        "firm to the touch": "visual",
        "vascular lesions": "class_leak",
        "of": "length",
        "nevi with dots": "class_leak",
        ("very " * 30 + "brown"): "length",
    }
    assert [c.text for c in screened.kept] == [
        "blue-white veil",
        "The borders are irregular",
        "deep brown lesion",
        "red lacunae",
        "scaly surface",
    ]


def test_duplicates_leave_their_links_and_their_twin_is_named() -> None:
    screened = run(PROPOSED, alike=ALIKE)
    kept = {c.text: c for c in screened.kept}
    for text in ("The borders are irregular", "deep brown lesion"):
        assert kept[text].classes == ("mel", "nv", "vasc")
        assert len(kept[text].origins) == 2
    drops = {d.candidate.text: d for d in screened.dropped}
    exact, near = drops["irregular border"], drops["dark brown lesion"]
    assert exact.reason == "says the same as 'The borders are irregular'"
    assert exact.evidence["kept_id"] == concept_id("The borders are irregular")
    assert near.reason == "is nearly 'deep brown lesion' (cosine 1.000)"
    assert near.evidence["cosine"] > 0.99


def test_reasons_and_evidence_say_what_was_found() -> None:
    drops = {d.candidate.text: d for d in run(PROPOSED).dropped}
    assert drops["cryotherapy"].reason == "speaks of treatment or prevention: 'cryotherapy'"
    assert drops["cryotherapy"].evidence["category"] == "treatment"
    assert drops["nevi with dots"].reason == ("gives the class 'melanocytic nevus' away by 'nevi'")
    assert drops["nevi with dots"].evidence["class"] == "nv"
    assert drops["of"].reason == "has 2 characters, not 3 to 120"


def test_words_and_characters_are_counted_at_their_limits() -> None:
    proposed = candidates(mel="red | red dot | red dot here | red dots here now")
    spec = ScreenSpec(gates=("length",), min_words=2, max_words=3, max_characters=11)
    screened = run(proposed, spec)
    assert [c.text for c in screened.kept] == ["red dot"]
    assert [d.reason for d in screened.dropped] == [
        "has 1 words, not 2 to 3",
        "has 12 characters, not 3 to 11",
        "has 4 words, not 2 to 3",
    ]


def test_only_the_named_gates_run_and_the_first_to_drop_gives_the_reason() -> None:
    proposed = candidates(mel="itchy melanoma")
    assert run(proposed, ScreenSpec(gates=("visual", "class_leak"))).dropped[0].gate == "visual"
    assert run(proposed, ScreenSpec(gates=("class_leak", "visual"))).dropped[0].gate == "class_leak"
    assert run(proposed, ScreenSpec(gates=())).kept == proposed.candidates


WORDS = words(
    "red blue brown pale dark left right irregular regular border borders scaly surface dots dot "
    "vessels no the of and melanoma nevi vascular lesion itchy treated over time firm large"
)
STATEMENTS = st.lists(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join),
    min_size=1,
    max_size=25,
    unique_by=concept_id,
)


@given(texts=STATEMENTS, seed=st.integers(0, 99), data=st.data())
@settings(max_examples=40, deadline=None)
def test_nothing_is_lost_and_a_second_screen_drops_nothing(
    texts: list[str], seed: int, data: st.DataObject
) -> None:
    generator = np.random.default_rng(seed)
    keys = [c.key for c in CLASSES]
    proposed = CandidateSet(
        candidates=tuple(
            Candidate(
                text=text,
                classes=tuple(k for k in keys if generator.random() < 0.5),
                origins=(FileOrigin(file="f", line=line + 1),),
            )
            for line, text in enumerate(texts)
        ),
        source="random",
    )
    centres = generator.normal(size=(6, DIM))[generator.integers(6, size=len(texts))]
    rows = centres + 0.1 * generator.normal(size=centres.shape)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    encoder = EncoderIdentity(name="random", digest="0" * 64, dim=DIM, demo=False)
    embeddings = TextEmbeddings(tuple(texts), rows.astype(np.float32), encoder)
    gates: list[GateName] = [*data.draw(st.permutations(ScreenSpec().gates))]
    spec = ScreenSpec(gates=tuple(gates), near_duplicate_cosine=0.97)

    screened = screen(proposed, CLASSES, embeddings, spec)

    came = {c.concept_id: c for c in proposed.candidates}
    dropped = {d.candidate.concept_id: d.candidate for d in screened.dropped}
    kept = {c.concept_id: c for c in screened.kept}
    assert {**kept, **dropped}.keys() == came.keys()
    assert not kept.keys() & dropped.keys()
    assert all(came[key] == candidate for key, candidate in dropped.items())

    names = read_class_names(CLASSES)
    if "class_leak" in gates:
        assert not any(find_leak(c.text, names) for c in screened.kept)

    stands_in = {
        d.candidate.concept_id: d.evidence["kept_id"]
        for d in screened.dropped
        if "duplicate" in d.gate and "contrast" not in d.evidence
    }
    for key in stands_in:
        heir = key
        while heir in stands_in:
            heir = stands_in[heir]
        if heir in kept:
            assert {*came[key].classes} <= {*kept[heir].classes}
            assert {*came[key].origins} <= {*kept[heir].origins}

    again = CandidateSet(candidates=screened.kept, source="kept")
    second = screen(again, CLASSES, embeddings, spec)
    assert second.dropped == ()
    assert second.kept == screened.kept


def test_no_candidates_are_no_problem() -> None:
    nothing = run(CandidateSet(candidates=(), source="nobody"))
    assert nothing == ScreenedSet(kept=(), dropped=(), gates=ScreenSpec().gates)


def test_a_class_without_candidates_is_named_with_the_gates_that_emptied_it() -> None:
    screened = run(candidates(mel="itchy | sore to touch | a melanoma", nv="red dot"))
    with pytest.raises(StudyError) as caught:
        require_every_class(screened, CLASSES, Ref("screened", "abc"))
    message = str(caught.value)
    assert (
        "no candidate is left after the screen for\n  melanoma: 2 by visual, 1 by class_leak\n"
        in message
    )
    assert "Every reason is kept in screened/abc; ask for more candidates" in message
    assert "nevus" not in message
    assert "vascular" not in message  # nobody proposed anything for it: not the screen's doing
