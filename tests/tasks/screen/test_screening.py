"""The gates together: nothing is lost, nothing comes back, links stay."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curette.schemas.artifact import Ref, StudyError
from curette.schemas.candidates import (
    Candidate,
    CandidateSet,
    DiscoveredOrigin,
    FileOrigin,
    concept_id,
)
from curette.schemas.embeddings import EncoderIdentity, TextEmbeddings
from curette.schemas.images import ClassLabel
from curette.schemas.screened import ScreenedSet
from curette.schemas.settings.screen import ScreenSpec
from curette.tasks.methods.wording.class_names import find_leak, read_class_names
from curette.tasks.methods.wording.words import words
from curette.tasks.screen.gate import Circumstances
from curette.tasks.screen.gates.form import Form
from curette.tasks.screen.gates.judge import Judge
from curette.tasks.screen.gates.near_duplicate import NearDuplicate
from curette.tasks.screen.screening import require_every_class, screen
from curette.tasks.screen.training import TrainingImages
from tests.tasks.screen.judges import HandMade, knows, of_opinion, verdicts

CLASSES = (
    ClassLabel(key="mel", name="melanoma"),
    ClassLabel(key="nv", name="melanocytic nevus", synonyms=("mole",)),
    ClassLabel(key="vasc", name="vascular lesion"),
)
DIM = 8
NO_IMAGES = TrainingImages(np.zeros((0, 64), np.float32), {}, classes=3)


BY_COSINE = ScreenSpec.model_validate({"near_duplicate_cosine": 0.95})


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
    ask: HandMade | None = None,
) -> ScreenedSet:
    texts = [c.text for c in proposed.candidates]
    known = Circumstances(CLASSES, vectors(texts, alike), NO_IMAGES, ask)
    return screen(proposed, known, spec or BY_COSINE)


PROPOSED = candidates(
    mel="cryotherapy | over time | blue-white veil | looks like a melanoma"
    " | colours vary depending on | irregular border | dark brown lesion",
    nv_vasc="The borders are irregular | blonde or red hair | darkish brown lesion"
    " | wear protective clothing",
    vasc="red lacunae | firm to the touch | scaly surface | vascular lesions | of",
    nv="nevi with dots | " + "very " * 30 + "brown",
)
ALIKE = [("dark brown lesion", "darkish brown lesion")]


def test_every_candidate_meets_the_gate_it_should() -> None:
    screened = run(PROPOSED, alike=ALIKE)
    assert {d.candidate.text: d.gate for d in screened.dropped} == {
        "cryotherapy": "visual",
        "over time": "visual",
        "looks like a melanoma": "class_leak",
        "colours vary depending on": "form",
        "The borders are irregular": "exact_duplicate",
        "darkish brown lesion": "near_duplicate",
        "blonde or red hair": "visual",
        "wear protective clothing": "visual",
        "firm to the touch": "visual",
        "vascular lesions": "class_leak",
        "of": "form",
        "nevi with dots": "class_leak",
        ("very " * 30 + "brown"): "form",
    }
    assert [c.text for c in screened.kept] == [
        "blue-white veil",
        "irregular border",
        "dark brown lesion",
        "red lacunae",
        "scaly surface",
    ]


def test_duplicates_leave_their_links_and_their_twin_is_named() -> None:
    screened = run(PROPOSED, alike=ALIKE)
    kept = {c.text: c for c in screened.kept}
    for text in ("irregular border", "dark brown lesion"):
        assert kept[text].classes == ("mel", "nv", "vasc")
        assert len(kept[text].origins) == 2
    drops = {d.candidate.text: d for d in screened.dropped}
    exact, near = drops["The borders are irregular"], drops["darkish brown lesion"]
    assert exact.reason == "says the same as 'irregular border'"
    assert exact.evidence["kept_id"] == concept_id("irregular border")
    assert near.reason == "means the same (cosine 1.000) as 'dark brown lesion'"
    assert near.evidence["cosine"] > 0.99
    assert {f.concept_id: f.members for f in screened.families} == {
        concept_id("irregular border"): (concept_id("The borders are irregular"),),
        concept_id("dark brown lesion"): (concept_id("darkish brown lesion"),),
    }


def test_a_family_holds_the_members_of_its_members() -> None:
    proposed = candidates(mel="red patch | patches, red | a reddish patch on skin")
    screened = run(proposed, alike=[("a reddish patch on skin", "red patch")])
    (family,) = screened.families
    assert family.concept_id == screened.kept[0].concept_id == concept_id("red patch")
    assert set(family.members) == {
        concept_id("patches, red"),
        concept_id("a reddish patch on skin"),
    }


def test_reasons_and_evidence_say_what_was_found() -> None:
    drops = {d.candidate.text: d for d in run(PROPOSED).dropped}
    assert drops["cryotherapy"].reason == "speaks of treatment or prevention: 'cryotherapy'"
    assert drops["cryotherapy"].evidence["category"] == "treatment"
    assert drops["nevi with dots"].reason == ("gives the class 'melanocytic nevus' away by 'nevi'")
    assert drops["nevi with dots"].evidence["class"] == "nv"
    assert drops["of"].reason == "has 2 characters, not 3 to 120"


def test_words_and_characters_are_counted_at_their_limits() -> None:
    proposed = candidates(mel="red | red dot | red dot here | red dots here now")
    spec = ScreenSpec(gates=(Form(min_words=2, max_words=3, max_characters=11),))
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
    near = NearDuplicate(cosine=0.97)
    merging = ["form", "language", "class_leak", "visual", "exact_duplicate", near]
    counting = ["vacuity", "contradiction"]
    gates = [*data.draw(st.permutations(merging)), *data.draw(st.permutations(counting))]
    spec = ScreenSpec(gates=tuple(gates))

    screened = screen(proposed, Circumstances(CLASSES, embeddings), spec)

    came = {c.concept_id: c for c in proposed.candidates}
    dropped = {d.candidate.concept_id: d.candidate for d in screened.dropped}
    kept = {c.concept_id: c for c in screened.kept}
    assert {**kept, **dropped}.keys() == came.keys()
    assert not kept.keys() & dropped.keys()
    assert all(came[key] == candidate for key, candidate in dropped.items())

    names = read_class_names(CLASSES)
    if "class_leak" in spec.names:
        assert not any(find_leak(c.text, names) for c in screened.kept)

    stands_in = {
        d.candidate.concept_id: d.evidence["kept_id"]
        for d in screened.dropped
        if "duplicate" in d.gate
    }
    for key in stands_in:
        heir = key
        while heir in stands_in:
            heir = stands_in[heir]
        if heir in kept:
            assert {*came[key].classes} <= {*kept[heir].classes}
            assert {*came[key].origins} <= {*kept[heir].origins}

    again = CandidateSet(candidates=screened.kept, source="kept")
    second = screen(again, Circumstances(CLASSES, embeddings), spec)
    # what was merged now counts as proposed for every class of its family
    assert {d.reason for d in second.dropped} <= {ALL_CLASSES}
    if not second.dropped:
        assert second.kept == screened.kept


ALL_CLASSES = "was proposed for all 3 classes, so it distinguishes none"
JUDGED = ScreenSpec(gates=("visual", Judge()))


def test_a_judge_who_can_be_believed_drops_what_the_rules_let_through() -> None:
    proposed = candidates(mel="red dots | a costly pattern")
    screened = run(proposed, JUDGED, ask=of_opinion(knows("a costly pattern")))
    assert [c.text for c in screened.kept] == ["red dots"]
    (dropped,) = screened.dropped
    assert dropped.gate == "judge"
    assert dropped.reason == "is not visible in one image to 3 of 3 votes of the judge"
    assert dropped.evidence == {"yes": 0, "no": 3, "asked": 3, "rules": "visible"}
    assert screened.judge is not None
    assert screened.judge.believed
    assert screened.usage.requests == 9
    assert screened.unsure == ()


def test_a_judge_who_cannot_be_believed_drops_nothing_and_this_is_said() -> None:
    proposed = candidates(mel="red dots | a costly pattern")
    screened = run(proposed, JUDGED, ask=of_opinion(lambda _: False))
    assert screened.dropped == ()
    assert screened.judge is not None
    assert {v.judge for v in screened.judge.judged} == {"not_visible"}
    assert "is not believed" in screened.judge.verdict
    assert screened.unsure == ()


def test_votes_that_never_came_or_split_leave_a_concept_in_doubt() -> None:
    def answer(prompt: str, sample: int) -> str | None:
        if "blue veil" in prompt and sample == 0:
            return None
        return verdicts(prompt, knows("red dots", "blue veil") if sample == 2 else knows())

    proposed = candidates(mel=" | ".join(["red dots", "blue veil", *(f"{n} rims" for n in "abc")]))
    spec = ScreenSpec(gates=(Judge(statements_per_request=2),))
    screened = run(proposed, spec, ask=HandMade(answer))
    doubts = {u.concept_id: u for u in screened.unsure}
    veil, dots = doubts[concept_id("blue veil")], doubts[concept_id("red dots")]
    assert concept_id("blue veil") in {c.concept_id for c in screened.kept}
    assert (veil.sure, veil.why) == (0, "was not judged: 1 of 3 votes never came")
    assert dots.why == "split the judge: 2 yes, 1 no"
    assert dots.sure == pytest.approx(1 / 3, abs=1e-5)
    assert [u.sure for u in screened.unsure] == sorted(u.sure for u in screened.unsure)


def test_where_rules_and_judge_differ_a_person_is_told() -> None:
    proposed = candidates(mel="red dots | zanzibar")
    screened = run(proposed, ScreenSpec(gates=(Judge(), "visual")), ask=of_opinion(knows()))
    assert screened.judge is not None
    assert [(v.text, v.judge, v.rules) for v in screened.judge.judged] == [
        ("red dots", "visible", "visible"),
        ("zanzibar", "visible", "not_visible"),
    ]
    alone = run(proposed, ScreenSpec(gates=("judge",)), ask=of_opinion(knows()))
    (doubt,) = alone.unsure
    assert doubt.why == "is visible to the judge, but names nothing that an image shows"


def test_a_judge_is_described_exactly_where_it_can_sit() -> None:
    with pytest.raises(ValueError, match="`judge` is described but is not among `gates`"):
        ScreenSpec.model_validate({"gates": ["form"], "judge": {}})
    with pytest.raises(ValueError, match="must be odd"):
        Judge(votes=2)
    assert "judge" not in run(candidates(mel="red dots")).gates


def test_what_was_nearly_decided_otherwise_is_unsure() -> None:
    screened = run(candidates(mel="firm pink nodule | red dots | flat rim | raised rim"))
    assert {u.concept_id: (u.gate, u.sure, u.why) for u in screened.unsure} == {
        concept_id("flat rim"): ("contradiction", 0, "contradicts 'raised rim'"),
        concept_id("raised rim"): ("contradiction", 0, "contradicts 'flat rim'"),
        concept_id("firm pink nodule"): (
            "visual",
            0.5,
            "speaks of how it feels under a finger ('firm') as well as of 'pink'",
        ),
    }


def test_less_supported_opposites_and_what_every_class_has_are_dropped() -> None:
    proposed = candidates(mel="flat rim | red dots", nv="blue veil")
    dots, rim = proposed.candidates[1], proposed.candidates[0]
    origins = tuple(FileOrigin(file=f"{n}.txt", line=1) for n in range(3))
    everywhere = dots.model_copy(update={"classes": ("mel", "nv", "vasc"), "origins": origins})
    rival = rim.model_copy(update={"text": "raised rim", "origins": origins})
    screened = run(CandidateSet(candidates=(rim, rival, everywhere), source="by hand"))
    assert {d.candidate.text: (d.gate, d.reason) for d in screened.dropped} == {
        "flat rim": (
            "contradiction",
            "contradicts 'raised rim', which was proposed more often for the same class",
        ),
        "red dots": (
            "vacuity",
            "was proposed for all 3 classes, so it distinguishes none",
        ),
    }


def test_no_candidates_are_no_problem() -> None:
    nothing = run(CandidateSet(candidates=(), source="nobody"))
    gates = ScreenSpec().names
    assert nothing == ScreenedSet(kept=(), dropped=(), gates=gates)


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


def test_what_was_found_among_images_passes_unless_its_name_gives_a_class_away() -> None:
    def found(number: int, name: str) -> Candidate:
        origin = DiscoveredOrigin(method="kmeans", number=number, name=name, images=("a",))
        text = f"{name} (found {number})" if name else f"unnamed {number}"
        return Candidate(text=text, classes=("mel", "nv", "vasc"), origins=(origin,))

    given = candidates(mel_nv_vasc="red dots | melanoma cells")
    those = (found(1, "red dots"), found(2, "a mole"), found(3, ""))
    given = given.model_copy(update={"candidates": (*given.candidates, *those)})
    known = Circumstances(CLASSES, vectors([c.text for c in given.candidates]), NO_IMAGES)
    screened = screen(given, known, BY_COSINE)
    assert [c.text for c in screened.kept] == ["red dots", "red dots (found 1)", "unnamed 3"]
    reasons = {d.candidate.text: d.gate for d in screened.dropped}
    assert reasons["a mole (found 2)"] == "class_leak"
