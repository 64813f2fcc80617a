"""Candidate concepts for the classes of a dataset: asked for, replayed or read, then merged."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from pydantic import BaseModel, Field, ValidationError

from schemas.artifact import StudyError
from schemas.candidates import (
    AskFailure,
    Candidate,
    CandidateSet,
    FileSource,
    LlmOrigin,
    LlmSource,
    ProposeSpec,
    RecordedSource,
    Usage,
    normal_form,
)
from schemas.images import ClassLabel
from schemas.responses import LlmRequest, LlmResponse
from tasks.propose.files import Proposal, match_classes, read_file, read_text
from tasks.propose.llm import (
    EXCERPT,
    Answers,
    Unusable,
    ask,
    excerpt_of,
    one_line,
    read_concepts,
    write_request,
)

ASPECTS: Final = ("appearance", "colour", "pattern", "shape_and_border", "texture_and_structures")
"""What each class is asked about; one prompt each, after LaBo (Yang et al., CVPR 2023)."""
DEMO_RECORD: Final = Path(__file__).parent / "recorded" / "demo.json"

_PROMPTS: Final = Path(__file__).parent / "prompts"
_NAME_LENGTH: Final = 120


@dataclass(frozen=True)
class Answered:
    """One answer about one class, and where it comes from."""

    class_key: str
    origin: LlmOrigin
    response: LlmResponse


class RecordedAnswer(BaseModel, frozen=True, extra="forbid"):
    """One answer of a record, as the model wrote it."""

    class_name: str = Field(description="key, name or synonym of the class asked about")
    aspect: str = Field(description="name of the prompt")
    text: str
    finish_reason: str = "stop"


class Record(BaseModel, frozen=True, extra="forbid"):
    """A file of recorded answers."""

    recorded: str = Field(description="how, when and by whom; repeated in cards and reports")
    model: str
    answers: tuple[RecordedAnswer, ...]


def propose(
    classes: Sequence[ClassLabel],
    spec: ProposeSpec,
    answers: Answers,
    advance: Callable[[int], None],
) -> CandidateSet:
    """Return what the source proposes for the classes, each text once with all its classes.

    Args:
        classes: their names go into prompts; nothing else of the dataset does.
        spec: who is asked, and what counts as an answer.
        answers: where a language model's answers are kept.
        advance: told how many answers of `count_questions` have come.

    Raises:
        StudyError: the source cannot be read or asked, its classes are not the dataset's, or a
            class ends with fewer than `spec.min_per_class` candidates.
    """
    match spec.source:
        case LlmSource() as source:
            found = _from_llm(classes, spec, source, answers, advance)
        case RecordedSource() as source:
            found = _from_record(classes, spec, source.path or DEMO_RECORD)
        case FileSource() as source:
            found = _from_file(classes, spec, source)
    _check_enough(found, classes, spec.min_per_class)
    return found


def count_questions(classes: Sequence[ClassLabel], spec: ProposeSpec) -> int:
    """Return how many answers a language model is asked for."""
    return len(classes) * len(ASPECTS) * spec.source.samples if spec.source.kind == "llm" else 0


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


# --- the three sources ----------------------------------------------------------------------


def _from_llm(
    classes: Sequence[ClassLabel],
    spec: ProposeSpec,
    source: LlmSource,
    answers: Answers,
    advance: Callable[[int], None],
) -> CandidateSet:
    asked = [
        (label, aspect, write_request(source, prompt, sample))
        for label in classes
        for aspect in ASPECTS
        for prompt in [write_prompt(aspect, label, spec.modality, source.concepts_per_answer)]
        for sample in range(source.samples)
    ]
    responses = ask([request for _, _, request in asked], source, answers, advance)
    answered = [
        Answered(label.key, _origin(source.model, aspect, request, recorded=False), response)
        for (label, aspect, request), response in zip(asked, responses, strict=True)
    ]
    said = f"{source.model}: {len(asked)} answers to {len(ASPECTS)} prompts a class"
    return _read_answers(answered, classes, spec.max_length, said)


def _from_record(classes: Sequence[ClassLabel], spec: ProposeSpec, path: Path) -> CandidateSet:
    """Read recorded answers the way fresh ones are read; nobody is asked."""
    record = _read_record(path)
    labels = match_classes([a.class_name for a in record.answers], classes, path)
    answered = []
    for place, answer in enumerate(record.answers):
        body = {"model": record.model, "class": answer.class_name, "prompt": answer.aspect}
        request = LlmRequest(base_url="", body=body, sample=place)
        response = LlmResponse(
            text=answer.text,
            finish_reason=answer.finish_reason,
            model=record.model,
            format="text",
        )
        origin = _origin(record.model, answer.aspect, request, recorded=True)
        answered.append(Answered(labels[answer.class_name].key, origin, response))
    said = f"replayed from {path.name} ({record.recorded})"
    return _read_answers(answered, classes, spec.max_length, said)


def _read_record(path: Path) -> Record:
    try:
        record = Record.model_validate_json(read_text(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = " > ".join(str(part) for part in first["loc"]) or "the top"
        raise StudyError(f"{path} is no record of answers: at {place}, {first['msg']}") from None
    if strange := sorted({a.aspect for a in record.answers} - set(ASPECTS)):
        raise StudyError(
            f"{path} answers unknown prompts: {', '.join(strange)}. The prompts are "
            f"{', '.join(ASPECTS)}."
        )
    return record


def _origin(model: str, aspect: str, request: LlmRequest, *, recorded: bool) -> LlmOrigin:
    return LlmOrigin(
        model=model,
        prompt_sha256=prompt_sha256(aspect),
        request_sha256=request.sha256,
        recorded=recorded,
    )


def _from_file(
    classes: Sequence[ClassLabel], spec: ProposeSpec, source: FileSource
) -> CandidateSet:
    proposals = read_file(source, classes)
    usable, failures = _sift(proposals, spec.max_length)
    return CandidateSet(
        candidates=merge(usable, classes),
        failures=failures,
        source=f"the file {source.path.name}, {len(proposals)} texts",
    )


# --- answers to candidates ------------------------------------------------------------------


def _read_answers(
    answered: Sequence[Answered], classes: Sequence[ClassLabel], max_length: int, source: str
) -> CandidateSet:
    proposals: list[Proposal] = []
    failures: list[AskFailure] = []
    for answer in answered:
        try:
            texts = read_concepts(answer.response)
        except Unusable as problem:
            failures.append(
                AskFailure(
                    class_key=answer.class_key,
                    request_sha256=answer.origin.request_sha256,
                    reason=str(problem),
                    raw=excerpt_of(answer.response),
                )
            )
        else:
            proposals += [Proposal(text, (answer.class_key,), answer.origin) for text in texts]
    usable, malformed = _sift(proposals, max_length)
    responses = [answer.response for answer in answered]
    return CandidateSet(
        candidates=merge(usable, classes),
        failures=(*failures, *malformed),
        usage=Usage(
            answers=len(responses),
            prompt_tokens=sum(r.prompt_tokens for r in responses),
            completion_tokens=sum(r.completion_tokens for r in responses),
        ),
        recorded=any(answer.origin.recorded for answer in answered),
        source=source,
    )


def _sift(
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
                request_sha256=origin.request_sha256 if isinstance(origin, LlmOrigin) else "",
                reason=f"longer than {max_length} characters"
                if normal_form(text)
                else "no words in it",
                raw=proposal.text[:EXCERPT],
            )
        )
    return usable, tuple(failures)


def clean(text: str) -> str:
    """Return one line without invisible characters, a list marker and a full stop."""
    marker = r"^(?:[-*•–]|\(?\d{1,3}[.)])\s+"
    return re.sub(marker, "", one_line(text)).removesuffix(".").strip()


def _check_enough(found: CandidateSet, classes: Sequence[ClassLabel], least: int) -> None:
    texts = texts_by_class(found.candidates, classes)
    if short := [f"`{key}` ({len(those)})" for key, those in texts.items() if len(those) < least]:
        reasons = Counter(f.reason for f in found.failures)
        spoilt = "; ".join(f"{count} times {reason}" for reason, count in reasons.most_common(3))
        raise StudyError(
            f"too few candidates for {', '.join(short)}: propose.min_per_class is {least}. "
            f"Unusable: {spoilt or 'nothing'}. Raise samples, set another draw to ask afresh, "
            "take another model, or lower min_per_class."
        )


# --- prompts --------------------------------------------------------------------------------


def write_prompt(aspect: str, label: ClassLabel, modality: str, count: int) -> str:
    """Return the question about one aspect of one class."""
    return Template(_template(aspect)).substitute(
        class_name=_quotable(label.name), modality=_quotable(modality), count=count
    )


def prompt_sha256(aspect: str) -> str:
    """Return the digest of a prompt before names are filled in."""
    return hashlib.sha256(_template(aspect).encode()).hexdigest()


def _template(aspect: str) -> str:
    return "".join(
        (_PROMPTS / f"{part}.md").read_text(encoding="utf-8") for part in (aspect, "rules")
    )


def _quotable(text: str) -> str:
    """Return a name that cannot leave the marks around it, nor flood the prompt."""
    return one_line(re.sub(r"[<>]", " ", text))[:_NAME_LENGTH]
