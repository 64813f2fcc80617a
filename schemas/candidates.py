"""Candidate concepts: where they are asked for, and each with its origin."""

import hashlib
import re
import unicodedata
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, Field, computed_field, model_validator

from curette.schemas.artifact import Artifact, JsonArtifact, Ref
from curette.schemas.embeddings import TextEmbeddings
from curette.schemas.llm import Usage


class LlmOrigin(BaseModel, frozen=True):
    """A concept that a language model wrote."""

    kind: Literal["llm"] = "llm"
    prompt: str = Field(description="name of the prompt: an aspect, or `contrast`")
    model: str
    prompt_sha256: str
    request_sha256: str
    recorded: bool = Field(description="true where the answer was replayed from a record")
    round: int = Field(
        default=1, exclude_if=lambda number: number == 1, description="of proposing, from 1"
    )
    pair: tuple[str, str] | None = Field(
        default=None,
        exclude_if=lambda pair: pair is None,
        description="keys of the confused classes that a later round asked about",
    )


class FileOrigin(BaseModel, frozen=True):
    """A concept that stood in a file."""

    kind: Literal["file"] = "file"
    file: str = Field(description="the file's name, without its folder")
    line: int = Field(ge=1, description="line, or position in the class's list")


class DocumentOrigin(BaseModel, frozen=True):
    """A concept that a language model found in a document, and where it stands there."""

    kind: Literal["document"] = "document"
    model: str
    prompt_sha256: str
    request_sha256: str
    document: str = Field(
        description="path below the folder; of a .jsonl line with `#` and its id, else its number"
    )
    document_sha256: str = Field(description="of the document's text")
    start: int = Field(ge=0, description="first character of the quote in the document's text")
    end: int = Field(gt=0, description="the character after its last")
    quote: str = Field(description="verbatim: the document's text from start to end")


class CaptionOrigin(BaseModel, frozen=True):
    """A concept that a model saw in a training image."""

    kind: Literal["caption"] = "caption"
    model: str
    prompt_sha256: str
    request_sha256: str
    image_id: str


class ReviewOrigin(BaseModel, frozen=True):
    """A concept whose words a reviewer chose; the other origins are those of the old words."""

    kind: Literal["review"] = "review"
    reviewer: str
    reworded_from: str = Field(description="the old words")


class DiscoveredOrigin(BaseModel, frozen=True):
    """A direction that was found among the vectors of training images, and what names it."""

    kind: Literal["discovered"] = "discovered"
    method: str
    number: int = Field(ge=1, description="among those found, the most frequent first")
    name: str = Field(default="", description="the statement that names it; empty: unnamed")
    best: str = Field(default="", description="the statement next to it, named by it or not")
    document: str = Field(
        default="",
        exclude_if=lambda name: not name,
        description="where these words stand first, if they are a noun phrase of a document",
    )
    cosine: float | None = Field(default=None, description="with that statement, both centred")
    margin: float | None = Field(default=None, description="ahead of the next other statement")
    p_value: float | None = Field(
        default=None, description="share of random combinations of directions as near to any"
    )
    proof: float | None = Field(
        default=None,
        description="AUROC of the statement's score on validation images, for the tenth that shows "
        "most for its class against the lower half of its class",
    )
    proof_low: float | None = Field(
        default=None,
        exclude_if=lambda low: low is None,
        description="lower end of its 95 % interval over groups",
    )
    proof_others: float | None = Field(
        default=None,
        exclude_if=lambda area: area is None,
        description="what 19 in 20 other statements do not exceed; a name's lower end does",
    )
    images: tuple[str, ...] = Field(description="ids of the training images that show it most")


Origin = Annotated[
    LlmOrigin | DocumentOrigin | CaptionOrigin | FileOrigin | ReviewOrigin | DiscoveredOrigin,
    Field(discriminator="kind"),
]


def normal_form(text: str) -> str:
    """Return the form in which two texts are the same concept.

    Unicode NFKC, lower case, one space between words, no punctuation at the ends.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"\s+", " ", folded).strip(" \t\n.,;:!?\"'`*-–—•")


def concept_id(text: str) -> str:
    """Return the id of a concept: 12 hex digits of the sha256 of its normal form."""
    return hashlib.sha256(normal_form(text).encode()).hexdigest()[:12]


class Candidate(BaseModel, frozen=True):
    """One statement that somebody proposed, with every class it was proposed for."""

    text: str = Field(min_length=1)
    classes: tuple[str, ...] = Field(description="class keys, in the dataset's order")
    origins: tuple[Origin, ...] = Field(min_length=1)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def concept_id(self) -> str:
        """The concept's id, from its normal form."""
        return concept_id(self.text)

    @property
    def round(self) -> int:
        """The round of proposing that it came in."""
        return min(o.round if isinstance(o, LlmOrigin) else 1 for o in self.origins)

    @property
    def found(self) -> DiscoveredOrigin | None:
        """How it was found among image vectors; None where words proposed it."""
        return next((o for o in self.origins if isinstance(o, DiscoveredOrigin)), None)


class AskFailure(BaseModel, frozen=True):
    """An answer, or one text of an answer or file, that could not be used, and why."""

    class_key: str = Field(description="or both keys of a pair; `*` for all classes")
    request_sha256: str = Field(description="empty where the text stood in a file")
    reason: str
    raw: str = Field(description="the raw answer, cut to 2,000 characters")


class SaturationPoint(BaseModel, frozen=True):
    """How much was known of a class after so many requests."""

    requests: int
    distinct: int = Field(description="different concepts so far")


class Saturation(BaseModel, frozen=True):
    """How far asking about one class, or pair of classes, has come."""

    source: Literal["class_prompts", "contrasts", "documents", "recorded"]
    about: str = Field(description="class key, or both keys of a pair")
    points: tuple[SaturationPoint, ...] = Field(description="one a round")
    mentions: int = Field(description="n: concepts named, repeated ones included")
    once: int = Field(description="f1: concepts named exactly once")
    twice: int = Field(description="f2: concepts named exactly twice")
    stopped: Literal["saturated", "limit"]

    @property
    def unseen_share(self) -> float:
        """Return Good and Turing's estimate that the next concept named is new: f1 / n.

        Good, Biometrika 40 (1953), section 2. 1 where nothing was named at all.
        """
        return self.once / self.mentions if self.mentions else 1.0

    @property
    def unseen_concepts(self) -> float:
        """Return Chao's lower bound on how many concepts were never named.

        f1 (f1 - 1) / (2 (f2 + 1)), the bias-corrected form: Chao, Scand. J. Statistics 11 (1984).
        """
        return self.once * (self.once - 1) / (2 * (self.twice + 1))


class AskedAgain(BaseModel, frozen=True):
    """What a later round of proposing asked."""

    number: int = Field(ge=2, description="of the round")
    about: tuple[tuple[str, str], ...] = Field(description="pairs of class keys")
    usage: Usage = Field(description="of this round alone")


class DictionaryFacts(BaseModel, frozen=True):
    """What directions found among training images are worth; measured on validation images."""

    method: str
    among: Literal["images", "places"] = Field(
        default="images", description="whose vectors they were learned from, and explain"
    )
    beside: bool = Field(
        default=False, description="measured beside the study's own; none is a candidate"
    )
    size: int = Field(description="directions that were asked for and are not empty")
    explained: float = Field(description="R2 of validation vectors, a mean of each dimension")
    active: float = Field(description="directions in use a validation image (L0)")
    dead: float = Field(description="share that no training image uses")
    stable_seeds: float | None = Field(
        description="mean cosine of matched directions between seeds; empty with one seed"
    )
    stable_halves: float = Field(description="the same between halves of the training groups")
    floor: float | None = Field(
        description="cosine that a name must beat: what 1 in 20 random combinations reach"
    )
    named: int = Field(description="that a statement is near enough to, and nearer than others")
    proved: int = Field(description="of these, names that validation images bear out")
    proved_by_chance: float | None = Field(
        description="share that would be borne out were names dealt at random"
    )
    finds: float | None = Field(
        description="AUROC within classes of the best direction, median over true attributes"
    )
    statements_find: float | None = Field(description="the same of the statements proposed")
    with_five: float = Field(description="balanced accuracy of a small head on five directions")
    low: float = Field(description="lower end of its 95 % interval over groups")
    high: float = Field(description="upper end")
    random_five: float = Field(description="the same of five of as many random directions")
    statements_five: float | None = Field(description="the same of five of the statements")


class CandidateSet(JsonArtifact, frozen=True):
    """All candidates, each once, in the order in which they were first proposed."""

    kind: ClassVar[str] = "candidates"

    candidates: tuple[Candidate, ...]
    failures: tuple[AskFailure, ...] = ()
    saturation: tuple[Saturation, ...] = ()
    usage: Usage = Usage()
    recorded: bool = Field(default=False, description="true where answers were replayed")
    source: str = Field(description="one line about where they come from, for cards and reports")
    again: AskedAgain | None = Field(
        default=None,
        exclude_if=lambda again: again is None,
        description="what the last round asked; nothing in the first",
    )
    directions: str = Field(
        default="",
        exclude_if=lambda digest: not digest,
        description="digest of the vectors of concepts found among images; empty: there are none",
    )
    dictionaries: tuple[DictionaryFacts, ...] = Field(
        default=(),
        exclude_if=lambda facts: not facts,
        description="what these are worth, the study's own first",
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        ids = [c.concept_id for c in self.candidates]
        if len(set(ids)) != len(ids):
            raise ValueError("two candidates have the same normal form; merge their classes")
        return self

    def parts(self) -> tuple[Ref[Artifact], ...]:
        """Return the vectors of what was found among images, where anything was."""
        return (self.directions_ref,) if self.directions_ref else ()

    @property
    def directions_ref(self) -> Ref[TextEmbeddings] | None:
        """The vectors of concepts found among images, by their texts."""
        return Ref(TextEmbeddings.kind, self.directions) if self.directions else None
