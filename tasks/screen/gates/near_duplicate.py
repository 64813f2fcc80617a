"""The gate of near-duplicates: of statements that mean the same, one stays with all their links.

Three things are told apart, and only the first two drop anything:

1. same *words*: equal once synonyms are one word ("tiny dots", "minute points of small size");
2. same *meaning*: what is left of both without words that name no finding is equal, and the text
   tower puts them closer together than it puts unrelated statements. A sentence encoder, where the
   study names one, may take the place of the first condition;
3. *indistinguishable* to this encoder: the scores of both go up and down together on the training
   images. That is a fact about the encoder, not about what they say. Both stay, a warning is kept,
   and the selection, which sees the scores, takes one or the other.

How close is close is measured for each encoder (`tasks.methods.alike.calibration`): text towers
put everything of one template close together. Opposites ("raised", "flat"), words of two kinds
("raised, hard", "raised, red") and other numbers are never the same, whatever an encoder says.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float32
from pydantic import Field, field_validator

from curette.schemas.llm import Usage
from curette.schemas.screened import Flag
from curette.tasks.methods.alike.calibration import centred, chance_cosine, score_space
from curette.tasks.methods.alike.stand_ins import nearest_kept
from curette.tasks.methods.wording.lexicon import LEXICON
from curette.tasks.methods.wording.phrases import Phrases
from curette.tasks.methods.wording.words import words
from curette.tasks.screen.contrasts import contrast
from curette.tasks.screen.duplicates import Twin, one_of_each, preferred, twins_of
from curette.tasks.screen.gate import Candidates, Circumstances, Gate, Outcome
from curette.tasks.screen.synonyms import meaning
from curette.tasks.screen.wording import content_stems, core, plain_form, without_template

MOST_WARNINGS = 50
"""Concepts of which it is told that others cannot be told from them, those with most others."""
_SAMPLE = 2_000
"""Proposed statements that an encoder is calibrated on, evenly spread."""
Agree = Callable[[int, int], bool]


class NearDuplicate(Gate, frozen=True):
    """The settings of the gate."""

    needs_images: ClassVar[bool] = True
    merges: ClassVar[bool] = True

    kind: Literal["near_duplicate"] = "near_duplicate"
    chance: float = Field(
        default=0.999,
        gt=0,
        lt=1,
        description="two statements are alike to an encoder where their centred cosine is one that "
        "this share of pairs without a common word stays below",
    )
    cosine: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="takes the place of all calibration: text vectors at least this alike are "
        "duplicates. It means something else for every encoder",
    )
    sentences: Path | str | None = Field(
        default=None,
        description="a sentence encoder that must agree: a local folder in the layout of BERT, "
        "starting with / or ./, or the name of a model of embeddings at the study's `llm`",
    )
    correlation: float = Field(
        default=0.95,
        gt=0,
        le=1,
        description="concepts whose scores on the training images, less what an image has in "
        "common with all texts, correlate at least so are called indistinguishable",
    )

    @field_validator("sentences", mode="before")
    @classmethod
    def _folders_are_paths(cls, value: object) -> object:
        """Tell folders from names, so that a folder's content counts in the stage's key."""
        local = isinstance(value, str) and value.startswith(("/", "./", "../"))
        return Path(str(value)) if local else value

    @property
    def asks(self) -> bool:
        """Whether the study's language model server is needed."""
        return isinstance(self.sentences, str)

    def decide(self, left: Candidates, known: Circumstances) -> Outcome:
        """Keep one of those that mean the same; tell which ones this encoder cannot tell apart."""
        order = preferred(left)
        texts = without_template([c.text for c in left], [c.text for c in known.proposed])
        forms = [plain_form(text, meaning) for text in texts]
        twins = {
            place: Twin(kept, "says in other words the same as", {"same": "words"})
            for place, kept in twins_of(forms, order).items()
        }
        left_over = [place for place in order if place not in twins]
        found, usage = self._same_meaning(left, texts, left_over, known)
        for place, twin in twins.items():  # what stood in may have found its own
            if twin.kept in found:
                twins[place] = Twin(found[twin.kept].kept, twin.why, twin.evidence)
        outcome = one_of_each(
            self.kind, left, twins | found, [label.key for label in known.classes]
        )
        return Outcome(
            outcome.kept,
            outcome.dropped,
            flags=self._indistinguishable(outcome.kept, known),
            usage=usage,
        )

    def _same_meaning(
        self,
        left: Candidates,
        stripped: Sequence[str],
        places: Sequence[int],
        known: Circumstances,
    ) -> tuple[dict[int, Twin], Usage]:
        """Return what stands in for the statements, given by their places in order."""
        texts = [stripped[place] for place in places]
        of_left = known.vectors(tuple(left[place] for place in places))
        if self.cosine is not None:
            kept, cosines = nearest_kept(
                of_left, np.arange(len(texts)), self.cosine, _allowed(texts)
            )
            return _twins(places, kept, cosines, {"least_cosine": self.cosine}), Usage()
        sample = known.proposed[:: max(1, -(-len(known.proposed) // _SAMPLE))]
        unrelated = _without_common_word([c.text for c in sample])
        tower, least = self._calibrated(known.vectors(sample), of_left, unrelated)
        if least is None:
            return {}, Usage()
        if self.sentences is None:
            return _same_core(texts, places, tower, least), Usage()
        asked = [*(c.text for c in sample), *(left[place].text for place in places)]
        read, usage = known.read_sentences(self.sentences, asked)
        said, least_said = self._calibrated(read[: len(sample)], read[len(sample) :], unrelated)
        if least_said is None:
            return {}, usage
        allowed = _allowed(texts)

        def agree(i: int, j: int) -> bool:
            return float(tower[i] @ tower[j]) >= least and allowed(i, j)

        kept, cosines = nearest_kept(said, np.arange(len(texts)), least_said, agree)
        evidence = {"least_cosine": round(least_said, 4), "least_tower_cosine": round(least, 4)}
        return _twins(places, kept, cosines, evidence), usage

    def _calibrated(
        self,
        pool: Float32[np.ndarray, "reference dim"],
        vectors: Float32[np.ndarray, "text dim"],
        unrelated: np.ndarray,
    ) -> tuple[Float32[np.ndarray, "text dim"], float | None]:
        """Return vectors without what the pool shares, and the cosine that chance stays below."""
        together = centred(np.concatenate([pool, vectors]), reference=len(pool))
        least = chance_cosine(together[: len(pool)], unrelated, self.chance)
        return together[len(pool) :], least

    def _indistinguishable(self, kept: Candidates, known: Circumstances) -> tuple[Flag, ...]:
        """Return a warning for each concept that others go up and down with, most others first."""
        if known.images is None or len(known.images.vectors) < 2 or len(kept) < 2:
            return ()
        usual = known.vectors(known.proposed).mean(axis=0)  # an image may be alike to all texts
        scores = score_space(known.images.vectors, known.vectors(kept) - usual)
        moving = np.flatnonzero(np.linalg.norm(scores, axis=1) > 1e-6)
        if not len(moving):
            return ()
        order = np.array(preferred(tuple(kept[p] for p in moving)))
        stand_in, alike = nearest_kept(scores[moving], order, self.correlation)
        others: defaultdict[int, list[int]] = defaultdict(list)
        for place, other in enumerate(stand_in):
            if place != other:
                others[int(other)].append(place)
        stars = sorted(others.items(), key=lambda star: (-len(star[1]), star[0]))
        return tuple(
            Flag(
                gate=self.kind,
                concept_ids=tuple(kept[moving[p]].concept_id for p in (center, *rows)),
                warning=f"this encoder cannot tell '{kept[moving[center]].text}' from "
                f"{len(rows)} others: their scores correlate at {alike[rows].min():.3f} or more on "
                "the training images; all stay, and the selection takes one",
                evidence={
                    "same": "to this encoder",
                    "least_correlation": round(float(alike[rows].min()), 4),
                    "concepts": len(rows) + 1,
                    "stars": len(stars),
                },
            )
            for center, rows in stars[:MOST_WARNINGS]
        )


def _same_core(
    texts: Sequence[str],
    places: Sequence[int],
    tower: Float32[np.ndarray, "text dim"],
    least: float,
) -> dict[int, Twin]:
    """Return the twins among statements of one core that the tower finds alike."""
    groups: defaultdict[frozenset[str], list[int]] = defaultdict(list)
    for row, text in enumerate(texts):
        if found := core(text, meaning):
            groups[found].append(row)
    twins: dict[int, Twin] = {}
    for rows in groups.values():
        if len(rows) > 1:
            kept, cosines = nearest_kept(tower[rows], np.arange(len(rows)), least)
            evidence = {"least_cosine": round(least, 4)}
            twins |= _twins([places[row] for row in rows], kept, cosines, evidence)
    return twins


def _twins(
    places: Sequence[int],
    kept: np.ndarray,
    cosines: np.ndarray,
    evidence: dict[str, float],
) -> dict[int, Twin]:
    return {
        places[row]: Twin(
            places[other],
            f"means the same (cosine {cosines[row]:.3f}) as",
            {"same": "meaning", "cosine": round(float(cosines[row]), 4), **evidence},
        )
        for row, other in enumerate(kept.tolist())
        if row != other
    }


def _allowed(texts: Sequence[str]) -> Agree:
    """Return whether two statements' words allow that they mean the same."""
    stems = [frozenset(map(meaning, content_stems(text))) for text in texts]
    kinds = [_kinds_of_words(text) for text in texts]

    def allowed(i: int, j: int) -> bool:
        numbers = [{s for s in stems[k] if s.isdigit()} for k in (i, j)]
        if numbers[0] != numbers[1] or contrast(stems[i], stems[j]):
            return False
        own = [
            {kinds[k][s] for s in stems[k] - stems[other] if s in kinds[k]}
            for k, other in ((i, j), (j, i))
        ]
        return not (own[0] and own[1]) or not own[0].isdisjoint(own[1])

    return allowed


def _kinds_of_words(text: str) -> dict[str, str]:
    """Return stem -> the kind of finding that it names: a color, a shape, a texture."""
    return {
        meaning(stem): hit.meaning
        for hit in _kinds().find(words(text))
        for stem in content_stems(hit.words)
    }


@cache
def _kinds() -> Phrases[str]:
    seen = [c for c in LEXICON if c.weight in ("appearance", "structure", "seldom")]
    return Phrases({pattern: c.name for c in seen for pattern in c.patterns})


def _without_common_word(texts: Sequence[str]) -> np.ndarray:
    """Return which pairs of statements have no content word in common.

    A word that most of them have is one of their template's, and counts for none.
    """
    stems = [{*map(meaning, content_stems(text))} for text in texts]
    often = Counter(s for said in stems for s in said)
    stems = [{s for s in said if 2 * often[s] <= len(texts)} for said in stems]
    column = {s: i for i, s in enumerate(sorted(set().union(*stems)))} if stems else {}
    has = np.zeros((len(texts), len(column)), dtype=np.float32)
    for row, said in enumerate(stems):
        has[row, [column[s] for s in said]] = 1
    return (has @ has.T) == 0
