"""Answers recorded earlier, read the way fresh ones are; nobody is asked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import BaseModel, Field, ValidationError

from curette.schemas.artifact import StudyError
from curette.schemas.candidates import AskFailure, LlmOrigin, Saturation
from curette.schemas.images import ClassLabel
from curette.schemas.llm import Usage
from curette.schemas.responses import LlmRequest, LlmResponse
from curette.schemas.settings.propose import Aspect, RecordedSource
from curette.tasks.methods.llm.reading import Unusable, excerpt_of, read_answer
from curette.tasks.propose.class_prompts import aspect_sha256
from curette.tasks.propose.files import match_classes, read_text
from curette.tasks.propose.forms import CONCEPTS
from curette.tasks.propose.proposals import Found, Proposal
from curette.tasks.propose.sampling import Tally

DEMO_RECORD: Final = Path(__file__).parent / "recorded" / "demo.json"


class RecordedAnswer(BaseModel, frozen=True, extra="forbid"):
    """One answer of a record, as the model wrote it."""

    class_name: str = Field(description="key, name or synonym of the class asked about")
    aspect: Aspect = Field(description="name of the prompt")
    text: str
    finish_reason: str = "stop"


class Record(BaseModel, frozen=True, extra="forbid"):
    """A file of recorded answers."""

    recorded: str = Field(description="how, when and by whom; repeated in cards and reports")
    model: str
    answers: tuple[RecordedAnswer, ...]


def replay(classes: Sequence[ClassLabel], source: RecordedSource) -> Found:
    """Return what the recorded answers say; each counts as one round of asking.

    Raises:
        StudyError: the file is no record, or is about other classes.
    """
    path = source.path or DEMO_RECORD
    record = _read_record(path)
    labels = match_classes([a.class_name for a in record.answers], classes, path)
    tallies: dict[str, Tally] = {}
    proposals: list[Proposal] = []
    failures: list[AskFailure] = []
    for place, answer in enumerate(record.answers):
        key = labels[answer.class_name].key
        request = LlmRequest(
            base_url="",
            body={"model": record.model, "class": answer.class_name, "prompt": answer.aspect},
            sample=place,
        )
        response = LlmResponse(
            text=answer.text, finish_reason=answer.finish_reason, model=record.model, format="text"
        )
        texts: tuple[str, ...] = ()
        try:
            texts = read_answer(response, CONCEPTS).concepts
        except Unusable as problem:
            failures.append(
                AskFailure(
                    class_key=key,
                    request_sha256=request.sha256,
                    reason=str(problem),
                    raw=excerpt_of(response),
                )
            )
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
        usage=Usage(answers=len(record.answers)),
        recorded=True,
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
