"""Asking again, about the pairs of classes that the selected concepts still confuse."""

from collections.abc import Sequence
from functools import partial

from curette.schemas.appraisal import Appraisal
from curette.schemas.artifact import StudyError
from curette.schemas.candidates import (
    AskedAgain,
    AskFailure,
    CandidateSet,
    LlmOrigin,
    normal_form,
)
from curette.schemas.images import ClassLabel
from curette.schemas.llm import Usage
from curette.schemas.settings.propose import ContrastSource, ProposeSpec, RecordedSource
from curette.tasks.methods.llm.quoting import quotable
from curette.tasks.propose.candidates import Interview, merge, sift
from curette.tasks.propose.contrasts import Pairs, contrast_statements
from curette.tasks.propose.forms import CONTRAST
from curette.tasks.propose.proposals import Found, Proposal
from curette.tasks.propose.records import AGAIN, replay_again
from curette.tasks.propose.sampling import Prompt, Topic, sample_until_saturated
from curette.tasks.propose.templates import fill, template, template_sha256

_MOST_IN_USE = 100  # statements in a prompt


def propose_again(
    classes: Sequence[ClassLabel],
    spec: ProposeSpec,
    interview: Interview | None,
    earlier: CandidateSet,
    appraisal: Appraisal,
) -> CandidateSet:
    """Return the earlier candidates and, behind them, what is said of classes still confused.

    Args:
        classes: their names go into prompts, and the selected statements; nothing else does.
        spec: the sources, and what counts as an answer.
        interview: the model; None: recorded answers are replayed.
        earlier: the candidates of the rounds before. What is said once more is not taken.
        appraisal: what the last round's selected concepts confuse.

    Raises:
        StudyError: nobody can be asked.
    """
    number = appraisal.last.number + 1
    pairs = most_confused(classes, spec.contrasts, appraisal)
    found = _ask(classes, spec, interview, pairs, appraisal.statements, number)
    usable, malformed = sift((p for f in found for p in f.proposals), spec.max_length)
    fresh, repeated = _without(usable, {normal_form(c.text) for c in earlier.candidates})
    asked = (interview.spent if interview else Usage()) + sum(
        (f.usage for f in found if f.recorded), Usage()
    )
    return CandidateSet(
        candidates=(*earlier.candidates, *merge(fresh, classes)),
        failures=(
            *earlier.failures,
            *(failure for f in found for failure in f.failures),
            *malformed,
            *repeated,
        ),
        saturation=(*earlier.saturation, *(s for f in found for s in f.saturation)),
        usage=earlier.usage + asked,
        recorded=earlier.recorded or any(f.recorded for f in found),
        source="; ".join((earlier.source, *(f"round {number}: {f.said}" for f in found))),
        again=AskedAgain(
            number=number,
            about=tuple((classes[a].key, classes[b].key) for a, b in pairs),
            usage=asked,
        ),
        directions=earlier.directions,
        dictionaries=earlier.dictionaries,
    )


def most_confused(
    classes: Sequence[ClassLabel], source: ContrastSource, appraisal: Appraisal
) -> Pairs:
    """Return the pairs to be asked about: as many as `contrasts` may ask about at most."""
    place = {label.key: number for number, label in enumerate(classes)}
    pairs = [(place[pair.first], place[pair.second]) for pair in appraisal.pairs]
    return pairs[: len(classes) * source.pairs_per_class]


def again_topics(
    classes: Sequence[ClassLabel],
    source: ContrastSource,
    pairs: Pairs,
    in_use: Sequence[str],
    modality: str,
    number: int,
) -> list[Topic]:
    """Return one topic a pair of confused classes."""
    statements = "\n".join(f"- {quotable(text, 300)}" for text in in_use[:_MOST_IN_USE])
    return [
        Topic(
            about=f"{classes[a].key} / {classes[b].key}, round {number}",
            prompts=(
                Prompt(
                    name="again",
                    text=fill(
                        template(*AGAIN),
                        first=quotable(classes[a].name),
                        second=quotable(classes[b].name),
                        statements=statements,
                        modality=quotable(modality),
                        count=str(source.concepts_per_answer),
                    ),
                    template_sha256=template_sha256(*AGAIN),
                    form=CONTRAST,
                    read=partial(contrast_statements, classes[a].key, classes[b].key),
                    round=number,
                    pair=(classes[a].key, classes[b].key),
                ),
            ),
        )
        for a, b in pairs
    ]


def _ask(
    classes: Sequence[ClassLabel],
    spec: ProposeSpec,
    interview: Interview | None,
    pairs: Pairs,
    in_use: Sequence[str],
    number: int,
) -> list[Found]:
    """Ask the model about each pair; where none is, look into the records."""
    records = [source for source in spec.sources if isinstance(source, RecordedSource)]
    if interview is None and not records:
        raise StudyError(
            "propose.rounds: a language model is asked again about classes that are still "
            "confused, and the study names none. Add `llm: {model: ..., base_url: ...}` to the "
            "study, or set rounds to 1."
        )
    if interview is None:
        return [replay_again(classes, source, pairs, number) for source in records]
    source = spec.contrasts
    topics = again_topics(classes, source, pairs, in_use, spec.modality, number)
    asked_for = f"answers on {len(topics)} pairs of classes (still confused)"
    model, ask = interview.llm.model, interview.ask
    return [sample_until_saturated(topics, source.sampling, "contrasts", asked_for, model, ask)]


def _without(
    proposals: Sequence[Proposal], known: set[str]
) -> tuple[list[Proposal], list[AskFailure]]:
    """Return the proposals that nobody made before, and why the others are not taken."""
    fresh: list[Proposal] = []
    repeated: list[AskFailure] = []
    for proposal in proposals:
        if normal_form(proposal.text) not in known:
            fresh.append(proposal)
            continue
        origin = proposal.origin
        asked = origin if isinstance(origin, LlmOrigin) else None
        repeated.append(
            AskFailure(
                class_key=" / ".join(asked.pair or proposal.classes) if asked else "*",
                request_sha256=asked.request_sha256 if asked else "",
                reason="proposed in an earlier round",
                raw=proposal.text,
            )
        )
    return fresh, repeated
