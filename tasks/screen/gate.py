"""What a gate is, what it may know and what it decides: who stays, who goes and why, its doubts."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from curette.schemas.attributes import AttributePhrases
from curette.schemas.candidates import Candidate
from curette.schemas.embeddings import TextEmbeddings
from curette.schemas.images import ClassLabel
from curette.schemas.llm import Usage
from curette.schemas.screened import Drop, Flag, JudgeReport, Unsure
from curette.schemas.settings.screen import GateSettings
from curette.tasks.methods.llm.asking import Answered, Question
from curette.tasks.screen.training import TrainingImages

Candidates = tuple[Candidate, ...]
Asking = Callable[[Sequence[Question[Any]]], tuple[Sequence[Answered[Any]], Usage]]
"""Puts questions to the study's language model; returns what came of each, and what it cost."""


Embedding = Callable[[Sequence[str], str], tuple[Float32[np.ndarray, "text dim"], Usage]]
"""Turns texts into vectors by a model that the study's server has; returns what it cost, too."""


@dataclass(frozen=True)
class Circumstances:
    """What gates may need to know besides the candidates that are left."""

    classes: tuple[ClassLabel, ...]
    """Of the whole study; no statement may name any of them."""
    texts: TextEmbeddings
    """The vector of every candidate's text."""
    images: TrainingImages | None = None
    """Needed by gates that say so (`needs_images`)."""
    ask: Asking | None = None
    """Needed by gates that ask (`asks`)."""
    attributes: Mapping[str, AttributePhrases] = field(default_factory=dict)
    """Which statements the images' ground truth decides."""
    proposed: Candidates = ()
    """All that came in, rubbish included; as it came, before any took over another's links."""
    embed: Embedding | None = None
    """Needed where a gate's sentences are encoded by the study's language model server."""

    def vectors(self, candidates: Candidates) -> Float32[np.ndarray, "candidate dim"]:
        """Return the unit vectors of the candidates' texts."""
        return np.asarray(self.texts.take([c.text for c in candidates]), dtype=np.float32)

    def read_sentences(
        self, encoder: Path | str, texts: Sequence[str]
    ) -> tuple[Float32[np.ndarray, "text dim"], Usage]:
        """Return unit vectors by a sentence encoder in a folder, or by name at the server.

        Raises:
            ValueError: it is at a server, and there is none.
            StudyError: the folder holds none, or the server fails.
        """
        if isinstance(encoder, Path):
            from curette.tasks.methods.encoder.sentences import encode_sentences  # loads torch

            return encode_sentences(encoder, texts), Usage()
        if self.embed is None:
            raise ValueError(f"the sentence encoder {encoder} needs a server")
        return self.embed(texts, encoder)

    def training_images(self, gate: str) -> TrainingImages:
        """Return the training images, which a gate cannot do without.

        Raises:
            ValueError: they were not given.
        """
        if self.images is None:
            raise ValueError(f"the gate {gate} needs the training images' vectors")
        return self.images


@dataclass(frozen=True)
class Outcome:
    """What one gate made of the candidates that were left."""

    kept: Candidates
    dropped: tuple[Drop, ...] = ()
    unsure: tuple[Unsure, ...] = ()
    flags: tuple[Flag, ...] = ()
    judge: JudgeReport | None = None
    usage: Usage = Usage()  # noqa: RUF009 - frozen


class Gate(GateSettings, frozen=True):
    """A gate: its settings are its fields. Each is one file in `gates/`, and one line there."""

    @abstractmethod
    def decide(self, left: Candidates, known: Circumstances) -> Outcome:
        """Let candidates through, or drop them, each for a reason."""


@dataclass(frozen=True)
class Finding:
    """Why a candidate is dropped."""

    reason: str
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Doubt:
    """Why a candidate might have been decided otherwise."""

    sure: float
    why: str


def drop(candidate: Candidate, gate: str, finding: Finding) -> Drop:
    """Return the record of a drop."""
    return Drop(candidate=candidate, gate=gate, reason=finding.reason, evidence=finding.evidence)


def doubt_about(candidate: Candidate, gate: str, doubt: Doubt) -> Unsure:
    """Return the record of a doubt."""
    return Unsure(
        concept_id=candidate.concept_id, gate=gate, sure=round(doubt.sure, 6), why=doubt.why
    )


def one_by_one(
    gate: str,
    left: Candidates,
    rule: Callable[[Candidate], Finding | None],
    question: Callable[[Candidate], Doubt | None] = lambda _: None,
) -> Outcome:
    """Judge every candidate by a rule, and perhaps doubt those that are kept."""
    judged = [(c, rule(c)) for c in left]
    kept = tuple(c for c, finding in judged if not finding)
    doubts = [(c, question(c)) for c in kept]
    return Outcome(
        kept=kept,
        dropped=tuple(drop(c, gate, finding) for c, finding in judged if finding),
        unsure=tuple(doubt_about(c, gate, doubt) for c, doubt in doubts if doubt),
    )
