"""What each class looks like, asked under several aspects (LaBo, Yang et al., CVPR 2023)."""

from collections.abc import Sequence
from functools import partial

from curette.schemas.images import ClassLabel
from curette.schemas.settings.propose import Aspect, ClassPromptSource
from curette.tasks.methods.llm.quoting import quotable
from curette.tasks.propose.forms import CONCEPTS, Concepts
from curette.tasks.propose.proposals import Found
from curette.tasks.propose.sampling import Ask, Prompt, Statement, Topic, sample_until_saturated
from curette.tasks.propose.templates import fill, template, template_sha256

_PARTS = ("about_class", "statements", "concepts_form")


def ask_about_classes(
    classes: Sequence[ClassLabel],
    source: ClassPromptSource,
    modality: str,
    model: str,
    ask: Ask,
) -> Found:
    """Return what the model says of every class until it says little new."""
    topics = class_topics(classes, source, modality)
    asked_for = f"answers to {len(source.aspects)} prompts a class"
    return sample_until_saturated(topics, source.sampling, "class_prompts", asked_for, model, ask)


def class_topics(
    classes: Sequence[ClassLabel], source: ClassPromptSource, modality: str
) -> list[Topic]:
    """Return one topic a class, with one prompt an aspect."""
    return [
        Topic(
            about=label.key,
            prompts=tuple(
                Prompt(
                    name=aspect,
                    text=write_prompt(aspect, label, modality, source.concepts_per_answer),
                    template_sha256=aspect_sha256(aspect),
                    form=CONCEPTS,
                    read=partial(_statements, label.key),
                )
                for aspect in source.aspects
            ),
        )
        for label in classes
    ]


def write_prompt(aspect: Aspect, label: ClassLabel, modality: str, count: int) -> str:
    """Return the question about one aspect of one class."""
    return fill(
        template(aspect, *_PARTS),
        class_name=quotable(label.name),
        modality=quotable(modality),
        count=str(count),
    )


def aspect_sha256(aspect: Aspect) -> str:
    """Return the digest of an aspect's prompt before names are filled in."""
    return template_sha256(aspect, *_PARTS)


def _statements(class_key: str, answer: Concepts) -> list[Statement]:
    return [(text, (class_key,)) for text in answer.concepts]
