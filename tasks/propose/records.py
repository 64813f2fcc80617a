"""Answers recorded earlier, read the way fresh ones are; nobody is asked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, Field, ValidationError

from curette.schemas.artifact import StudyError
from curette.schemas.candidates import AskFailure, LlmOrigin, Saturation
from curette.schemas.images import ClassLabel
from curette.schemas.llm import Usage
from curette.schemas.responses import LlmRequest, LlmResponse
from curette.schemas.settings.propose import Aspect, RecordedSource
from curette.tasks.methods.llm.reading import AnswerForm, Unusable, excerpt_of, read_answer
from curette.tasks.propose.class_prompts import aspect_sha256
from curette.tasks.propose.files import match_classes, read_text
from curette.tasks.propose.forms import CONCEPTS, CONTRAST
from curette.tasks.propose.proposals import Found, Proposal
from curette.tasks.propose.sampling import Tally
from curette.tasks.propose.templates import template_sha256

M = TypeVar("M", bound=BaseModel)

DEMO_RECORD: Final = Path(__file__).parent / "recorded" / "demo.json"
AGAIN: Final = ("again", "statements", "contrast_form")
"""The prompt of a later round."""


class RecordedAnswer(BaseModel, frozen=True, extra="forbid"):
    """One answer of a record, as the model wrote it."""

    class_name: str = Field(description="key, name or synonym of the class asked about")
    aspect: Aspect = Field(description="name of the prompt")
    text: str
    finish_reason: str = "stop"


class RecordedContrast(BaseModel, frozen=True, extra="forbid"):
    """One answer of a later round, on two classes that were confused."""

    round: int = Field(ge=2, description="of proposing")
    first: str = Field(description="key, name or synonym of the class asked about first")
    second: str
    text: str
    finish_reason: str = "stop"


class Record(BaseModel, frozen=True, extra="forbid"):
    """A file of recorded answers."""

    recorded: str = Field(description="how, when and by whom; repeated in cards and reports")
    model: str
    answers: tuple[RecordedAnswer, ...]
    contrasts: tuple[RecordedContrast, ...] = Field(
        default=(), description="answers of later rounds"
    )


def replay(classes: Sequence[ClassLabel], source: RecordedSource) -> Found:
    """Return what the recorded answers say; each counts as one round of asking.

    Raises:
        StudyError: the file is no record, or is about other classes.
    """
    path, record, labels = _open(classes, source)
    asked = [(n, a) for n, a in enumerate(record.answers) if a.aspect in source.aspects]
    tallies: dict[str, Tally] = {}
    proposals: list[Proposal] = []
    failures: list[AskFailure] = []
    for place, answer in asked:
        key = labels[answer.class_name].key
        request = LlmRequest(
            base_url="",
            body={"model": record.model, "class": answer.class_name, "prompt": answer.aspect},
            sample=place,
        )
        said, failure = _read(answer, CONCEPTS, record, request, key)
        texts = said.concepts if said else ()
        failures += [failure] if failure else []
        tallies.setdefault(key, Tally()).add_round(1, [texts])
        origin = LlmOrigin(
            model=record.model,
            prompt=answer.aspect,
            prompt_sha256=aspect_sha256(answer.aspect),
            request_sha256=request.sha256,
            recorded=True,
        )
        proposals += [Proposal(text, (key,), origin) for text in texts]
    return Found(
        proposals=tuple(proposals),
        said=f"replayed from {path.name} ({record.recorded})",
        failures=tuple(failures),
        saturation=_saturation(tallies, classes),
        usage=Usage(answers=len(asked)),
        recorded=True,
    )


def replay_again(
    classes: Sequence[ClassLabel],
    source: RecordedSource,
    pairs: Sequence[tuple[int, int]],
    number: int,
) -> Found:
    """Return what was recorded in a later round about these pairs of classes (class numbers).

    Raises:
        StudyError: the file is no record, or is about other classes.
    """
    path, record, labels = _open(classes, source)
    wanted = {frozenset((classes[a].key, classes[b].key)) for a, b in pairs}
    proposals: list[Proposal] = []
    failures: list[AskFailure] = []
    answered = set()
    for place, answer in enumerate(record.contrasts):
        pair = (labels[answer.first].key, labels[answer.second].key)
        if answer.round != number or frozenset(pair) not in wanted:
            continue
        answered.add(frozenset(pair))
        request = LlmRequest(
            base_url="",
            body={"model": record.model, "pair": pair, "round": number},
            sample=place,
        )
        said, failure = _read(answer, CONTRAST, record, request, " / ".join(pair))
        failures += [failure] if failure else []
        origin = LlmOrigin(
            model=record.model,
            prompt="again",
            prompt_sha256=template_sha256(*AGAIN),
            request_sha256=request.sha256,
            recorded=True,
            round=number,
            pair=pair,
        )
        for texts, key in zip((said.first, said.second) if said else (), pair, strict=False):
            proposals += [Proposal(text, (key,), origin) for text in texts]
    return Found(
        proposals=tuple(proposals),
        said=f"answers on {len(answered)} of {len(wanted)} pairs of classes, replayed from "
        f"{path.name} ({record.recorded})",
        failures=tuple(failures),
        usage=Usage(answers=len(answered)),
        recorded=True,
    )


def _open(
    classes: Sequence[ClassLabel], source: RecordedSource
) -> tuple[Path, Record, dict[str, ClassLabel]]:
    path = source.path or DEMO_RECORD
    record = _read_record(path)
    names = [a.class_name for a in record.answers]
    names += [name for a in record.contrasts for name in (a.first, a.second)]
    return path, record, match_classes(names, classes, path)


def _read(
    answer: RecordedAnswer | RecordedContrast,
    form: AnswerForm[M],
    record: Record,
    request: LlmRequest,
    about: str,
) -> tuple[M | None, AskFailure | None]:
    """Return what an answer says, or why it is of no use."""
    response = LlmResponse(
        text=answer.text, finish_reason=answer.finish_reason, model=record.model, format="text"
    )
    try:
        return read_answer(response, form), None
    except Unusable as problem:
        return None, AskFailure(
            class_key=about,
            request_sha256=request.sha256,
            reason=str(problem),
            raw=excerpt_of(response),
        )


def _saturation(tallies: dict[str, Tally], classes: Sequence[ClassLabel]) -> tuple[Saturation, ...]:
    return tuple(
        tallies[label.key].saturation("recorded", label.key, "limit")
        for label in classes
        if label.key in tallies
    )


def _read_record(path: Path) -> Record:
    try:
        return Record.model_validate_json(read_text(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = " > ".join(str(part) for part in first["loc"]) or "the top"
        raise StudyError(f"{path} is no record of answers: at {place}, {first['msg']}") from None
