"""Candidate concepts for the classes of a dataset: from every source of the study, then merged."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float

from curette.schemas.artifact import StudyError
from curette.schemas.attributes import AttributePhrases
from curette.schemas.candidates import AskFailure, Candidate, CandidateSet, normal_form
from curette.schemas.consent import why_not_sent
from curette.schemas.images import ClassLabel
from curette.schemas.llm import Usage
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.settings.propose import (
    CaptionSource,
    ClassPromptSource,
    ColumnsSource,
    ContrastSource,
    DiscoveredSource,
    DocumentSource,
    FileSource,
    ProposeSpec,
    RecordedSource,
    WordedSource,
)
from curette.tasks.methods.llm.asking import Answered, Answers, Question, ask, usage_of
from curette.tasks.methods.llm.client import Secrecy
from curette.tasks.methods.llm.embedding import embed_texts_remotely, embedding_usage
from curette.tasks.methods.llm.quoting import one_line
from curette.tasks.methods.llm.shown import Pictures
from curette.tasks.propose.captions import Gallery, describe_images
from curette.tasks.propose.class_prompts import ask_about_classes
from curette.tasks.propose.columns import said_by_columns
from curette.tasks.propose.contrasts import Pairs, ask_for_contrasts, given_pairs
from curette.tasks.propose.corpus import Corpus, read_corpus
from curette.tasks.propose.documents import Embed, propose_from_documents
from curette.tasks.propose.files import read_file
from curette.tasks.propose.names import names_in
from curette.tasks.propose.proposals import Found, Proposal
from curette.tasks.propose.records import replay

_EXCERPT: Final = 2_000


Discover = Callable[[DiscoveredSource, Sequence[str], Mapping[str, str]], Found]
"""From statements and noun phrases, each with its document, to what is found among images."""


@dataclass
class Interview:
    """A language model that is asked, and what that has cost so far."""

    llm: LlmSpec
    answers: Answers
    advance: Callable[[int], None]
    spent: Usage = field(default_factory=Usage)
    before: Usage = field(default_factory=Usage)
    """What the study had spent already; it counts towards the model's limits."""
    _counted: set[str] = field(default_factory=set)

    def ask(
        self, questions: Sequence[Question[Any]], pictures: Pictures | None = None
    ) -> list[Answered[Any]]:
        """Return the answers in the order of the questions; what is stored is not asked again.

        Questions that show pictures are confidential: see `methods.llm.client.Secrecy`.

        Raises:
            StudyError: the model cannot be asked, or the next question would pass a limit.
        """
        spent = self.before + self.spent
        secrecy: Secrecy = "ordinary" if pictures is None else "confidential"
        answered = ask(
            questions,
            self.llm,
            self.answers,
            spent,
            self.advance,
            secrecy=secrecy,
            pictures=pictures,
        )
        fresh = [a for a in answered if a.request_sha256 not in self._counted]
        self._counted.update(a.request_sha256 for a in fresh)
        self.spent += usage_of(fresh, self.llm)
        return answered

    def embedder(self, model: str) -> Embed:
        """Return what makes vectors of texts at the same server, none of them twice."""

        def embed(texts: Sequence[str]) -> Float[np.ndarray, "text dim"]:
            vectors = embed_texts_remotely(texts, model, self.llm, self.answers, self.spent)
            self.spent += embedding_usage(texts, model, self.llm, self.answers)
            return vectors

        return embed


def propose(
    classes: Sequence[ClassLabel],
    spec: ProposeSpec,
    interview: Interview | None,
    look_alikes: Callable[[int], Pairs],
    attributes: Mapping[str, AttributePhrases] | None = None,
    discover: Discover | None = None,
    gallery: Callable[[CaptionSource], Gallery] | None = None,
) -> CandidateSet:
    """Return what the sources propose for the classes, each text once with all its classes.

    Args:
        classes: their names go into prompts; nothing else of the dataset does.
        spec: the sources, and what counts as an answer.
        interview: the model; needed where `spec.asks`.
        look_alikes: from a number of neighbours to the pairs of classes whose images are most
            alike; called only where a source of contrasts gives no pairs.
        attributes: true/false columns and the statements that they decide, for `columns`.
        discover: looks for concepts among images, and for their names among these statements and
            phrases; called last, and only where a source is `discovered`.
        gallery: the images that a model is shown; called only where a source is `captions`.

    Raises:
        StudyError: a source cannot be read or asked, its classes are not the dataset's, or a
            class ends with fewer than `spec.min_per_class` candidates.
    """
    # Every file is read before the first question, which may cost money, is asked.
    read = cache(read_corpus)
    worded = [s for s in spec.sources if not isinstance(s, DiscoveredSource)]
    prepared = [
        _prepare(s, classes, spec, interview, look_alikes, attributes or {}, gallery, read)
        for s in worded
    ]
    corpora = [read(folder) for folder in spec.folders_of_names]
    found = [find() for find in prepared]
    usable, malformed = sift((p for f in found for p in f.proposals), spec.max_length)
    for source in spec.sources:
        if isinstance(source, DiscoveredSource):
            if discover is None:
                raise ValueError("a source is to be discovered and nothing discovers")
            said = [c.text for c in merge(usable, classes)]
            found.append(discover(source, said, names_in(corpora, classes, said)))
            usable += found[-1].proposals
    recorded = sum((f.usage for f in found if f.recorded), Usage())
    candidates = CandidateSet(
        candidates=merge(usable, classes),
        failures=(*(failure for f in found for failure in f.failures), *malformed),
        saturation=tuple(s for f in found for s in f.saturation),
        usage=(interview.spent if interview else Usage()) + recorded,
        recorded=any(f.recorded for f in found),
        source="; ".join(f.said for f in found),
    )
    _check_enough(candidates, classes, spec.min_per_class)
    return candidates


def merge(proposals: Iterable[Proposal], classes: Sequence[ClassLabel]) -> tuple[Candidate, ...]:
    """Return each text once, where it first stood, with all its classes and origins.

    Texts are the same if their normal forms are; the first one's spelling is kept. Classes come
    in the dataset's order.
    """
    together: dict[str, list[Proposal]] = {}
    for proposal in proposals:
        together.setdefault(normal_form(proposal.text), []).append(proposal)
    order = {label.key: place for place, label in enumerate(classes)}
    return tuple(
        Candidate(
            text=same[0].text,
            classes=tuple(sorted({key for p in same for key in p.classes}, key=order.__getitem__)),
            origins=tuple(dict.fromkeys(p.origin for p in same)),
        )
        for same in together.values()
    )


def texts_by_class(
    candidates: Iterable[Candidate], classes: Sequence[ClassLabel]
) -> dict[str, list[str]]:
    """Return class key -> texts of its candidates, both in their order."""
    texts: dict[str, list[str]] = {label.key: [] for label in classes}
    for candidate in candidates:
        for key in candidate.classes:
            texts[key].append(candidate.text)
    return texts


def clean(text: str) -> str:
    """Return one line without invisible characters, a list marker and a full stop."""
    marker = r"^(?:[-*•–]|\(?\d{1,3}[.)])\s+"
    return re.sub(marker, "", one_line(text)).removesuffix(".").strip()


def _prepare(  # noqa: PLR0911 - one a kind of source
    source: WordedSource,
    classes: Sequence[ClassLabel],
    spec: ProposeSpec,
    interview: Interview | None,
    look_alikes: Callable[[int], Pairs],
    attributes: Mapping[str, AttributePhrases],
    gallery: Callable[[CaptionSource], Gallery] | None,
    read: Callable[[Path], Corpus],
) -> Callable[[], Found]:
    """Read what a source rests on; return what then asks, if it asks at all.

    Raises:
        StudyError: says what is wrong with its files or classes, or that nobody can be asked.
    """
    match source:
        case RecordedSource():
            return partial(_itself, replay(classes, source))
        case FileSource():
            return partial(_itself, read_file(source, classes))
        case ColumnsSource():
            return partial(_itself, said_by_columns(attributes, classes))
    if interview is None:
        raise StudyError(
            f"propose.sources: `{source.kind}` asks a language model, and the study names none. "
            "Add `llm: {model: ..., base_url: ...}` to the study."
        )
    model, ask = interview.llm.model, interview.ask
    match source:
        case ClassPromptSource():
            return partial(ask_about_classes, classes, source, spec.modality, model, ask)
        case ContrastSource():
            pairs = given_pairs(classes, source) or look_alikes(source.pairs_per_class)
            return partial(ask_for_contrasts, classes, source, pairs, spec.modality, model, ask)
        case DocumentSource():
            embed = interview.embedder(source.embedding_model) if source.embedding_model else None
            corpus = read(source.folder)
            return partial(
                propose_from_documents, classes, source, corpus, spec.modality, model, ask, embed
            )
        case CaptionSource():
            if why := why_not_sent(
                "images", source.images_may_be_sent_to, "propose.sources", interview.llm
            ):
                raise StudyError(f"propose.sources: {why}.")
            if gallery is None:
                raise ValueError("images are to be described and none were given")
            return partial(describe_images, gallery(source), source, spec.modality, model, ask)


def _itself(found: Found) -> Found:
    return found


def sift(
    proposals: Iterable[Proposal], max_length: int
) -> tuple[list[Proposal], tuple[AskFailure, ...]]:
    """Return the proposals with clean texts, and those that are no short statement."""
    usable: list[Proposal] = []
    failures: list[AskFailure] = []
    for proposal in proposals:
        text = clean(proposal.text)
        if normal_form(text) and len(text) <= max_length:
            usable.append(Proposal(text, proposal.classes, proposal.origin))
            continue
        origin = proposal.origin
        failures.append(
            AskFailure(
                class_key=proposal.classes[0] if len(proposal.classes) == 1 else "*",
                request_sha256=getattr(origin, "request_sha256", ""),
                reason=f"longer than {max_length} characters"
                if normal_form(text)
                else "no words in it",
                raw=proposal.text[:_EXCERPT],
            )
        )
    return usable, tuple(failures)


def _check_enough(found: CandidateSet, classes: Sequence[ClassLabel], least: int) -> None:
    texts = texts_by_class(found.candidates, classes)
    if short := [f"`{key}` ({len(those)})" for key, those in texts.items() if len(those) < least]:
        reasons = Counter(f.reason for f in found.failures)
        spoilt = "; ".join(f"{count} times {reason}" for reason, count in reasons.most_common(3))
        raise StudyError(
            f"too few candidates for {', '.join(short)}: propose.min_per_class is {least}. "
            f"Unusable: {spoilt or 'nothing'}. Add a source, raise sampling.max_rounds, set "
            "another llm.draw to ask afresh, take another model, or lower min_per_class."
        )
