"""What asking for candidates will cost, before anything is asked."""

from collections.abc import Sequence
from statistics import mean

from curette.schemas.images import ClassLabel
from curette.schemas.llm import RequestForecast
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
    Sampling,
)
from curette.tasks.methods.llm.asking import Answers, Question, request_of
from curette.tasks.methods.llm.tokens import count_tokens
from curette.tasks.propose.again import again_topics
from curette.tasks.propose.captions import forecast_captions
from curette.tasks.propose.class_prompts import class_topics
from curette.tasks.propose.contrasts import Pairs, contrast_topics, given_pairs
from curette.tasks.propose.documents import forecast_documents
from curette.tasks.propose.files import read_file
from curette.tasks.propose.forms import TOKENS_A_STATEMENT
from curette.tasks.propose.records import replay
from curette.tasks.propose.sampling import Topic

_IN_USE = 10
"""Statements that a first round selects, where as many are taken as are enough."""


def forecast_proposing(
    classes: Sequence[ClassLabel], spec: ProposeSpec, llm: LlmSpec, answers: Answers
) -> list[RequestForecast]:
    """Return what each source will ask: fewest where one round saturates, most at the limit."""
    found = []
    for source in spec.sources:
        match source:
            case ClassPromptSource():
                topics = class_topics(classes, source, spec.modality)
                each = source.concepts_per_answer * TOKENS_A_STATEMENT
                found.append(
                    _forecast("class prompts", topics, source.sampling, each, llm, answers)
                )
            case ContrastSource():
                pairs = given_pairs(classes, source) or _as_many_pairs(classes, source)
                topics = contrast_topics(classes, source, pairs, spec.modality)
                each = 2 * source.concepts_per_answer * TOKENS_A_STATEMENT
                made = _forecast("contrasts", topics, source.sampling, each, llm, answers)
                if not source.pairs:
                    note = f"{made.note}; pairs are found when the images are embedded"
                    made = made.model_copy(update={"stored": 0, "note": note})
                found.append(made)
            case CaptionSource():
                found.append(forecast_captions(classes, source, spec.modality, llm))
            case DocumentSource():
                found.append(forecast_documents(classes, source, spec.modality, llm, answers))
    return [*found, *(_forecast_round(n, classes, spec, llm) for n in _later_rounds(spec))]


def most_candidates(
    classes: Sequence[ClassLabel],
    spec: ProposeSpec,
    forecasts: Sequence[RequestForecast],
    columns: int,
) -> int:
    """Return how many candidates there can be at most, were nothing said twice.

    `columns` is how many true/false columns the study names.
    """
    count = 0
    asked = iter(forecasts)
    for source in spec.sources:
        match source:
            case ClassPromptSource() | DocumentSource() | CaptionSource():
                count += next(asked).most * source.concepts_per_answer
            case ContrastSource():
                count += next(asked).most * 2 * source.concepts_per_answer
            case RecordedSource():
                count += len(replay(classes, source).proposals)
            case FileSource():
                count += len(read_file(source, classes).proposals)
            case ColumnsSource():
                count += columns
            case DiscoveredSource():
                count += source.size or 0  # else it goes by the number of images
    again = sum(forecast.most for forecast in asked)  # in later rounds
    return count + again * 2 * spec.contrasts.concepts_per_answer


def _later_rounds(spec: ProposeSpec) -> range:
    return range(2, spec.rounds + 1 if spec.asks_again else 2)


def _forecast_round(
    number: int, classes: Sequence[ClassLabel], spec: ProposeSpec, llm: LlmSpec
) -> RequestForecast:
    """Return what a later round will ask: nothing, where the rounds before leave no confusion."""
    source = spec.contrasts
    pairs = _as_many_pairs(classes, source)
    in_use = ["a statement of about as many words as most have"] * _IN_USE
    topics = again_topics(classes, source, pairs, in_use, spec.modality, number)
    a_round, completion = len(topics) * source.sampling.per_round, 2 * source.concepts_per_answer
    tokens = completion * TOKENS_A_STATEMENT
    return RequestForecast(
        name=f"round {number}",
        fewest=0,
        most=a_round * source.sampling.max_rounds,
        likely=a_round,
        stored=None,
        prompt_tokens_each=mean(
            count_tokens(prompt.text, llm.model) for topic in topics for prompt in topic.prompts
        ),
        completion_tokens_each=llm.expected_tokens(tokens),
        note="at most as many pairs of classes as `contrasts`, those that are still confused; none "
        "after a round that adds less than a standard error",
    )


def _forecast(
    name: str,
    topics: Sequence[Topic],
    sampling: Sampling,
    completion_tokens: int,
    llm: LlmSpec,
    answers: Answers,
) -> RequestForecast:
    prompts = [prompt for topic in topics for prompt in topic.prompts]
    a_round = len(prompts) * sampling.per_round
    stored = sum(
        answers.get(request_of(Question(p.text, p.form, sample), llm)) is not None
        for p in prompts
        for sample in range(sampling.per_round * sampling.max_rounds)
    )
    return RequestForecast(
        name=name,
        fewest=a_round,
        most=a_round * sampling.max_rounds,
        stored=stored,
        prompt_tokens_each=mean(count_tokens(p.text, llm.model) for p in prompts),
        completion_tokens_each=llm.expected_tokens(completion_tokens),
        note=f"until less than {sampling.min_new_share:.0%} of a round is new",
    )


def _as_many_pairs(classes: Sequence[ClassLabel], source: ContrastSource) -> Pairs:
    """Return stand-ins for the pairs that will be found: at most so many, of average names."""
    count = len(classes)
    every = [(a, b) for a in range(count) for b in range(a + 1, count)]
    return every[: count * source.pairs_per_class]
