"""Settings of the stage `propose`: where candidate concepts come from."""

from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self, get_args

from pydantic import BaseModel, Field, model_validator

Aspect = Literal["appearance", "colour", "pattern", "shape_and_border", "texture", "structures"]
ASPECTS: tuple[Aspect, ...] = get_args(Aspect)
"""What a class is asked about, one prompt each, after LaBo (Yang et al., CVPR 2023)."""

MOST_ROUNDS: Final = 3
"""Of proposing; what a later one adds is soon less than can be measured."""


class Sampling(BaseModel, frozen=True, extra="forbid"):
    """How often a language model is asked the same: until little new comes."""

    per_round: int = Field(default=1, gt=0, le=20, description="answers a prompt and round")
    max_rounds: int = Field(default=6, gt=0, le=100, description="then a class is asked no more")
    min_new_share: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="a class whose last round had a smaller share of new concepts is asked no more",
    )


class ClassPromptSource(BaseModel, frozen=True, extra="forbid"):
    """What each class looks like, asked under several aspects (LaBo)."""

    kind: Literal["class_prompts"]
    asks: ClassVar[bool] = True
    aspects: tuple[Aspect, ...] = Field(
        default=ASPECTS, min_length=1, description="the prompts; see tasks/propose/prompts"
    )
    concepts_per_answer: int = Field(default=25, gt=0, le=200, description="asked for at a time")
    sampling: Sampling = Field(default_factory=Sampling, description="how often it is asked")


class ContrastSource(BaseModel, frozen=True, extra="forbid"):
    """What tells one class from another that looks alike."""

    kind: Literal["contrasts"]
    asks: ClassVar[bool] = True
    pairs: tuple[tuple[str, str], ...] = Field(
        default=(), description="class keys; empty: the pairs most alike by their image vectors"
    )
    pairs_per_class: int = Field(
        default=1, gt=0, le=20, description="where pairs are found: nearest other classes each"
    )
    concepts_per_answer: int = Field(default=15, gt=0, le=200, description="asked for at a time")
    sampling: Sampling = Field(
        default_factory=lambda: Sampling(max_rounds=3), description="how often it is asked"
    )


class DocumentSource(BaseModel, frozen=True, extra="forbid"):
    """What a folder of documents says of the classes, with verbatim quotes (KnoBo)."""

    kind: Literal["documents"]
    asks: ClassVar[bool] = True
    folder: Path = Field(description=".txt, .md, .jsonl and .pdf files, subfolders included")
    retrieval: Literal["bm25", "bm25_and_vectors"] = Field(
        default="bm25", description="vectors: fused with BM25 by reciprocal rank"
    )
    embedding_model: str | None = Field(
        default=None, description="the model at the study's server that makes the vectors"
    )
    chunk_words: int = Field(default=200, ge=20, le=2000, description="longest passage")
    passages_per_query: int = Field(default=5, gt=0, le=50, description="shown to the model")
    concepts_per_answer: int = Field(default=10, gt=0, le=100, description="asked for at a time")
    max_queries: int = Field(
        default=40, gt=0, le=10_000, description="a class's name, then accepted concepts"
    )

    @model_validator(mode="after")
    def _has_a_model(self) -> Self:
        if (self.retrieval == "bm25_and_vectors") != (self.embedding_model is not None):
            raise ValueError("`bm25_and_vectors` needs `embedding_model`, and `bm25` has none")
        return self


class CaptionSource(BaseModel, frozen=True, extra="forbid"):
    """What a model that sees says of a few training images of each class, not told the class.

    After the dense descriptions of KnoBo (Yang et al., 2024), of images instead of documents.
    """

    kind: Literal["captions"]
    asks: ClassVar[bool] = True
    images_may_be_sent_to: str = Field(
        default="",
        description="the llm's base_url, written out: the consent that patients' images leave "
        "this machine for it",
    )
    images_per_class: int = Field(
        default=8, gt=0, le=200, description="training images, of different patients first"
    )
    image_side: int = Field(
        default=512, ge=64, le=2048, description="pixels of the longer side as it is sent, at most"
    )
    concepts_per_answer: int = Field(default=15, gt=0, le=100, description="asked for at a time")


class RecordedSource(BaseModel, frozen=True, extra="forbid"):
    """Answers recorded earlier and kept in a file; labelled as recorded wherever they appear."""

    kind: Literal["recorded"]
    asks: ClassVar[bool] = False
    path: Path | None = Field(
        default=None, description="JSON of recorded answers; empty: the demo's own"
    )
    aspects: tuple[Aspect, ...] = Field(
        default=ASPECTS,
        min_length=1,
        exclude_if=lambda aspects: aspects == ASPECTS,
        description="only the answers to these prompts",
    )


class FileSource(BaseModel, frozen=True, extra="forbid"):
    """Concepts from a file that somebody published."""

    kind: Literal["file"]
    asks: ClassVar[bool] = False
    path: Path = Field(description="the file; relative paths start at the study file")
    format: Literal["class_to_concepts", "lines", "questions"] = Field(
        default="class_to_concepts",
        description="LaBo's JSON `class -> [concept]`; one concept a line; one yes/no question "
        "a line (KnoBo), turned into a statement",
    )


class ColumnsSource(BaseModel, frozen=True, extra="forbid"):
    """What true/false columns of the data say: the first statement of each, for all classes.

    Those of `dataset.attributes`. An encoder of images alone needs it, and nothing else.
    """

    kind: Literal["columns"]
    asks: ClassVar[bool] = False


DictionaryMethod = Literal["kmeans", "topk_sae", "ra_sae", "nmf", "ica"]
"""How a dictionary is learned; each is a file in `tasks/methods/dictionaries`."""


class DiscoveredSource(BaseModel, frozen=True, extra="forbid"):
    """Directions that training images have in common, found without words and named afterwards.

    A name is taken from what the other sources say and from noun phrases of documents; where none
    fits, the concept is `unnamed` with its pictures, and a person may name it in the review.
    """

    kind: Literal["discovered"]
    asks: ClassVar[bool] = False
    method: DictionaryMethod = Field(
        default="kmeans", description="k-means is measured beside every other"
    )
    among: Literal["images", "places"] = Field(
        default="images",
        description="whose vectors have directions in common: whole images or their places, such "
        "as the patches of a vision transformer",
    )
    size: int | None = Field(
        default=None,
        ge=2,
        le=4096,
        description="directions; empty: a 25th of the training images, at most four times the "
        "encoder's dimensions",
    )
    sparsity: int | None = Field(
        default=None,
        ge=1,
        description="of `topk_sae` and `ra_sae`: directions in use an image; empty: 6",
    )
    seeds: int = Field(
        default=3, ge=1, le=20, description="fits that are compared; the first is used"
    )
    documents: Path | None = Field(
        default=None,
        exclude_if=lambda folder: folder is None,
        description="a folder of documents whose noun phrases may be names, beside those of the "
        "sources `documents`; nobody is asked",
    )

    @model_validator(mode="after")
    def _can_be_sparse(self) -> Self:
        if self.sparsity is not None and self.method not in ("topk_sae", "ra_sae"):
            raise ValueError(
                f"`sparsity` is of topk_sae and ra_sae; {self.method} has none. Leave it out"
            )
        if self.sparsity and self.size and self.sparsity > self.size:
            raise ValueError(
                f"`sparsity` is {self.sparsity} and `size` {self.size}: an image cannot use more "
                "directions than there are. Lower `sparsity`, or raise `size`"
            )
        return self

    @property
    def active(self) -> int:
        """How many directions an image uses at most, where that is set."""
        return self.sparsity or 6


WordedSource = (
    ClassPromptSource
    | ContrastSource
    | DocumentSource
    | CaptionSource
    | RecordedSource
    | FileSource
    | ColumnsSource
)
"""What proposes statements."""
ProposeSource = Annotated[WordedSource | DiscoveredSource, Field(discriminator="kind")]


class ProposeSpec(BaseModel, frozen=True, extra="forbid"):
    """How candidate concepts are found."""

    sources: tuple[ProposeSource, ...] = Field(
        description="where from, in order; what two sources say is one candidate"
    )
    modality: str = Field(
        default="medical image",
        description="what the images are, such as dermoscopy; part of the prompts",
    )
    max_length: int = Field(
        default=300, gt=0, description="a longer text is no short statement: kept as a failure"
    )
    min_per_class: int = Field(
        default=1, ge=0, description="a class with fewer candidates fails the stage by name"
    )
    rounds: int = Field(
        default=1,
        ge=1,
        le=MOST_ROUNDS,
        exclude_if=lambda rounds: rounds == 1,
        description="from the second on, pairs of classes that the selected concepts confuse on "
        "validation images are asked about, like `contrasts`; a round that adds less than a "
        "standard error is the last, and is not kept",
    )

    @model_validator(mode="after")
    def _from_somewhere(self) -> Self:
        if not self.sources:
            raise ValueError("`sources` is empty: candidates must come from somewhere")
        if sum(isinstance(source, DiscoveredSource) for source in self.sources) > 1:
            raise ValueError(
                "`discovered` stands among the sources twice; take one, beside which k-means is "
                "measured anyway, and another study for another method"
            )
        return self

    @property
    def looks_at_places(self) -> bool:
        """Whether concepts are looked for among vectors of places."""
        found = [s for s in self.sources if isinstance(s, DiscoveredSource)]
        return any(source.among == "places" for source in found)

    @property
    def discovers(self) -> bool:
        """Whether concepts are looked for among image vectors."""
        return any(isinstance(source, DiscoveredSource) for source in self.sources)

    @property
    def folders_of_names(self) -> tuple[Path, ...]:
        """The folders of documents whose noun phrases may name what is found among images."""
        found = [s.documents for s in self.sources if isinstance(s, DiscoveredSource)]
        asked = [s.folder for s in self.sources if isinstance(s, DocumentSource)] if found else []
        return tuple(dict.fromkeys([*asked, *(folder for folder in found if folder)]))

    @property
    def asks(self) -> bool:
        """Whether a language model is asked."""
        return any(source.asks for source in self.sources) or self.asks_again

    @property
    def asks_again(self) -> bool:
        """Whether a language model is asked in later rounds; recorded answers are replayed."""
        recorded = [source for source in self.sources if isinstance(source, RecordedSource)]
        return self.rounds > 1 and (not recorded or any(s.asks for s in self.sources))

    @property
    def contrasts(self) -> ContrastSource:
        """How pairs of classes are asked about in later rounds."""
        given = (source for source in self.sources if isinstance(source, ContrastSource))
        return next(given, ContrastSource(kind="contrasts"))

    @property
    def first_round(self) -> "ProposeSpec":
        """The same without later rounds, on which the first does not depend."""
        return self.model_copy(update={"rounds": 1})
