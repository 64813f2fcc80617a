"""What a folder of documents says of the classes, each concept with its place in a document.

After KnoBo (Yang et al., NeurIPS 2024): passages are retrieved for a class, a language model reads
them and names concepts, and these are the next queries. Here a concept is accepted only if the
quote that the model gives for it stands in the document.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import Any, Final, Literal

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel, ValidationError, field_validator, model_validator

from curette.schemas.candidates import AskFailure, DocumentOrigin, Saturation, normal_form
from curette.schemas.images import ClassLabel
from curette.schemas.llm import RequestForecast
from curette.schemas.responses import LlmResponse
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.settings.propose import DocumentSource
from curette.tasks.methods.llm.asking import Answered, Answers, Question, request_of
from curette.tasks.methods.llm.quoting import quotable
from curette.tasks.methods.llm.reading import (
    ECHO,
    EXCERPT,
    AnswerForm,
    Unusable,
    excerpt_of,
    read_answer,
)
from curette.tasks.methods.llm.tokens import count_tokens
from curette.tasks.propose.corpus import (
    CHARACTERS_PER_WORD,
    Corpus,
    Passage,
    read_corpus,
    split_into_passages,
)
from curette.tasks.propose.forms import is_placeholder
from curette.tasks.propose.proposals import Found, Proposal
from curette.tasks.propose.quotes import SHORTEST, find_quote
from curette.tasks.propose.retrieval import VectorIndex, WordIndex, fuse_rankings
from curette.tasks.propose.sampling import Ask, Tally
from curette.tasks.propose.templates import fill, template, template_sha256
from curette.tasks.propose.usable import why_none

Embed = Callable[[Sequence[str]], Float[np.ndarray, "text dim"]]
"""From texts to their vectors, each of length 1."""

DEPTH: Final = 5
"""A query looks at so many times the passages that it may show: 50 for 10 in KnoBo's code."""

_PARTS: Final = ("passages", "statements", "passages_form")
_TOKENS_A_FINDING: Final = 50
"""Of a statement and a quote of one sentence in JSON."""


class Finding(BaseModel):
    """One concept, and the words that it rests on; what lacks one is dropped with a reason."""

    concept: str = ""
    passage: int = 0
    quote: str = ""


class Findings(BaseModel):
    """What some passages say of one class; it may be nothing."""

    concepts: tuple[Finding, ...]

    @field_validator("concepts", mode="before")
    @classmethod
    def _each_by_itself(cls, said: Any) -> Any:
        """Let what is no finding spoil no other."""
        return [_finding(part) for part in said] if isinstance(said, list) else said

    @model_validator(mode="after")
    def _says_something(self) -> "Findings":
        if self.concepts and all(is_placeholder(f.concept) for f in self.concepts):
            raise ValueError(ECHO)
        return self


def _finding(part: Any) -> Any:
    try:
        return Finding.model_validate(part)
    except ValidationError:
        return Finding()


FINDINGS: Final = AnswerForm(
    name="findings",
    model=Findings,
    example='{"concepts": [{"concept": "a statement", "passage": 1, "quote": "its words"}]}',
)


def propose_from_documents(
    classes: Sequence[ClassLabel],
    source: DocumentSource,
    corpus: Corpus,
    modality: str,
    model: str,
    ask: Ask,
    embed: Embed | None,
) -> Found:
    """Return what the documents say of every class, as far as their own words prove it.

    A class is searched breadth first: by modality and name, modality and each synonym, then by its
    name with each accepted concept. A query retrieves its best `DEPTH * passages_per_query`
    passages and shows the first `passages_per_query` that the class has not been shown; one that
    retrieves nothing unseen is not asked. All waiting queries of all classes are asked together.
    A class ends when no query waits (saturated) or after `max_queries` requests (limit).

    Sent are class names and synonyms, the modality and passages; no file's name is.

    Args:
        classes: their names and synonyms go into queries, their names into prompts.
        source: how the documents are searched.
        corpus: the documents.
        modality: what the images are.
        model: the name of who is asked, for origins.
        ask: asks many questions at once.
        embed: makes vectors; needed for `bm25_and_vectors`.

    Raises:
        StudyError: the model cannot be asked.
    """
    library = open_library(source, corpus, embed)
    searches = [_Search(label, source, modality, model, library) for label in classes]
    while asked := [(search, shown) for search in searches for shown in search.next_passages()]:
        answered = ask([search.question(shown) for search, shown in asked])
        for (search, shown), answer in zip(asked, answered, strict=True):
            search.take(shown, answer)
    queries = sum(search.tally.requests for search in searches)
    return Found(
        proposals=tuple(p for search in searches for p in search.proposals),
        failures=(*library.failures(), *(f for search in searches for f in search.failures)),
        saturation=tuple(search.saturation() for search in searches),
        said=f"{model} on {library.said(source)}, {queries} queries",
    )


def forecast_documents(
    classes: Sequence[ClassLabel],
    source: DocumentSource,
    modality: str,
    llm: LlmSpec,
    answers: Answers,
) -> RequestForecast:
    """Return what `propose_from_documents` will ask; the folder is read, nobody is asked.

    The search is replayed with the answers that are stored: a class all of whose questions have
    one costs exactly these, another at least those asked so far and at most one a passage, or
    `max_queries`. Where vectors are used nothing can be replayed, and only bounds are known.

    Raises:
        StudyError: the folder cannot be read.
    """
    by_words = source.model_copy(update={"retrieval": "bm25"})
    library = open_library(by_words, read_corpus(source.folder), None)
    searches = [_Search(label, source, modality, llm.model, library) for label in classes]
    most_a_class = min(source.max_queries, len(library.passages))
    asked: list[Question[Findings]] = []
    stored = most = 0
    for search in searches:
        missing = False
        while shown := search.next_passages():
            for passages in shown:
                question = search.question(passages)
                response = answers.get(request_of(question, llm))
                asked.append(question)
                stored += response is not None
                missing |= response is None
                search.take(passages, _replayed(question, response, llm))
        most += most_a_class if missing else search.tally.requests
    words = source.retrieval == "bm25"
    completion_tokens = source.concepts_per_answer * _TOKENS_A_FINDING
    return RequestForecast(
        name="documents",
        fewest=len(asked) if words else len(classes),
        most=most if words else most_a_class * len(classes),
        stored=stored if words else 0,
        prompt_tokens_each=mean(count_tokens(q.prompt, llm.model) for q in asked) if asked else 0,
        completion_tokens_each=llm.expected_tokens(completion_tokens),
        note=f"{library.said(source)}; accepted concepts are further queries"
        + ("" if words else "; what is stored shows only once there are vectors"),
    )


def _replayed(
    question: Question[Findings], response: LlmResponse | None, llm: LlmSpec
) -> Answered[Findings]:
    """Return a stored answer; one that nobody gave yet has found nothing."""
    sha256 = request_of(question, llm).sha256
    if response is None:
        nothing = LlmResponse(text="", model=llm.model, format="text")
        return Answered(sha256, nothing, None, "not asked yet")
    try:
        return Answered(sha256, response, read_answer(response, FINDINGS))
    except Unusable as problem:
        return Answered(sha256, response, None, str(problem))


# --- the passages ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Library:
    """A corpus in passages, ready to be searched."""

    corpus: Corpus
    passages: tuple[Passage, ...]
    shown: tuple[str, ...]
    """Each passage as prompts show it."""
    words: WordIndex
    vectors: VectorIndex | None
    embed: Embed | None

    def search(self, queries: Sequence[str], depth: int) -> list[list[int]]:
        """Return the numbers of the best passages for each query, best first."""
        by_words = [self.words.ranking(query, depth) for query in queries]
        if self.vectors is None or self.embed is None:
            return by_words
        vectors = self.embed(queries)
        return [
            fuse_rankings([ranking, self.vectors.ranking(vector, depth)])[:depth]
            for ranking, vector in zip(by_words, vectors, strict=True)
        ]

    def failures(self) -> list[AskFailure]:
        """Return what could not be read, as failures of no class."""
        return [
            AskFailure(class_key="*", request_sha256="", reason=unread.reason, raw=unread.name)
            for unread in self.corpus.unread
        ]

    def said(self, source: DocumentSource) -> str:
        """Return what the folder holds in a few words."""
        counts = [(self.corpus.ignored, "ignored"), (len(self.corpus.unread), "unreadable")]
        apart = ", ".join(f"{count} {what}" for count, what in counts if count)
        return (
            f"{len(self.corpus.documents)} documents in the folder {source.folder.name}"
            + (f" ({apart})" if apart else "")
            + f", {len(self.passages)} passages"
        )


def open_library(source: DocumentSource, corpus: Corpus, embed: Embed | None) -> Library:
    """Return the passages of the documents, indexed as the source wants.

    Raises:
        ValueError: the source wants vectors and nobody makes them.
    """
    if source.retrieval == "bm25_and_vectors" and embed is None:
        raise ValueError("`bm25_and_vectors` needs somebody who makes vectors")
    limit = source.chunk_words * CHARACTERS_PER_WORD
    visible = [
        (passage, text)
        for document in corpus.documents
        for passage in split_into_passages(document, source.chunk_words)
        if (text := quotable(passage.text, limit))
    ]
    shown = tuple(text for _, text in visible)
    by_vectors = source.retrieval == "bm25_and_vectors" and embed is not None
    return Library(
        corpus=corpus,
        passages=tuple(passage for passage, _ in visible),
        shown=shown,
        words=WordIndex(shown),
        vectors=VectorIndex(embed(shown)) if by_vectors and embed else None,
        embed=embed if by_vectors else None,
    )


# --- the search for one class ----------------------------------------------------------------


class _Dropped(Exception):
    """A finding rests on nothing; the text says why."""


@dataclass
class _Search:
    """How far the search for one class has come."""

    label: ClassLabel
    source: DocumentSource
    modality: str
    model: str
    library: Library
    tally: Tally = field(default_factory=Tally)
    proposals: list[Proposal] = field(default_factory=list)
    failures: list[AskFailure] = field(default_factory=list)

    def __post_init__(self) -> None:
        names = (self.label.name, *self.label.synonyms)
        self._waiting = deque(dict.fromkeys(f"{self.modality} {name}" for name in names))
        self._queried: set[str] = set()
        self._seen: set[int] = set()
        self._asked = 0

    def next_passages(self) -> list[tuple[int, ...]]:
        """Return what each waiting query shows: numbers of passages the class has not seen."""
        chosen: list[tuple[int, ...]] = []
        while not chosen and self._waiting and self._asked < self.source.max_queries:
            count = min(len(self._waiting), self.source.max_queries - self._asked)
            queries = [self._waiting.popleft() for _ in range(count)]
            for ranking in self.library.search(queries, DEPTH * self.source.passages_per_query):
                unseen = [number for number in ranking if number not in self._seen]
                if shown := tuple(unseen[: self.source.passages_per_query]):
                    self._seen.update(shown)
                    chosen.append(shown)
            self._asked += len(chosen)
        return chosen

    def question(self, shown: Sequence[int]) -> Question[Findings]:
        """Return the question about some passages, numbered from 1."""
        marked = [
            f'<passage number="{number}">{self.library.shown[passage]}</passage>'
            for number, passage in enumerate(shown, start=1)
        ]
        prompt = fill(
            template(*_PARTS),
            modality=quotable(self.modality),
            class_name=quotable(self.label.name),
            passages="\n".join(marked),
            count=str(self.source.concepts_per_answer),
        )
        return Question(prompt, FINDINGS)

    def take(self, shown: Sequence[int], answered: Answered[Findings]) -> None:
        """Keep what an answer proves, and the reason for the rest."""
        accepted: list[str] = []
        findings = answered.answer.concepts if answered.answer else ()
        if answered.answer is None:
            self._fail(answered, answered.problem, excerpt_of(answered.response))
        for finding in findings:
            try:
                origin = self._origin(finding, shown, answered)
            except _Dropped as problem:
                self._fail(answered, str(problem), finding.model_dump_json())
                continue
            self.proposals.append(Proposal(finding.concept, (self.label.key,), origin))
            accepted.append(finding.concept)
            self._query_by(finding.concept)
        self.tally.add_round(1, [accepted])

    def saturation(self) -> Saturation:
        """Return how much every query has brought."""
        stopped: Literal["saturated", "limit"] = "limit" if self._waiting else "saturated"
        return self.tally.saturation("documents", self.label.key, stopped)

    def _query_by(self, concept: str) -> None:
        form = normal_form(concept)
        if form and form not in self._queried:
            self._queried.add(form)
            self._waiting.append(f"{self.label.name} {quotable(concept)}")

    def _origin(
        self, finding: Finding, shown: Sequence[int], answered: Answered[Findings]
    ) -> DocumentOrigin:
        if why := why_none(finding.concept):
            raise _Dropped(why)
        if not 1 <= finding.passage <= len(shown):
            raise _Dropped("the quote is from a passage that was not shown")
        passage = self.library.passages[shown[finding.passage - 1]]
        document = passage.document
        if len(quotable(finding.quote, EXCERPT)) < SHORTEST:
            raise _Dropped("the quote is too short to prove anything")
        if (place := find_quote(finding.quote, passage.text)) is not None:
            start, end = place[0] + passage.start, place[1] + passage.start
        elif (place := find_quote(finding.quote, document.text)) is not None:
            start, end = place
        else:
            raise _Dropped("the quote is not in the document")
        return DocumentOrigin(
            model=self.model,
            prompt_sha256=template_sha256(*_PARTS),
            request_sha256=answered.request_sha256,
            document=document.name,
            document_sha256=document.sha256,
            start=start,
            end=end,
            quote=document.text[start:end],
        )

    def _fail(self, answered: Answered[Findings], reason: str, raw: str) -> None:
        self.failures.append(
            AskFailure(
                class_key=self.label.key,
                request_sha256=answered.request_sha256,
                reason=reason,
                raw=raw[:EXCERPT],
            )
        )
