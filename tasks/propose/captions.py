"""What a model that sees says of training images: it is shown each alone, and told no class.

A statement belongs to the class of the image that it was said of. That a model says the same of
another class's images too is seen later, by how the statement's scores tell classes apart.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from curette.schemas.artifact import StudyError
from curette.schemas.candidates import AskFailure, CaptionOrigin
from curette.schemas.images import ClassLabel, ImageDataset
from curette.schemas.llm import RequestForecast
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.settings.propose import CaptionSource
from curette.tasks.methods.llm.asking import Answered, Question
from curette.tasks.methods.llm.control_pictures import control_pictures
from curette.tasks.methods.llm.quoting import quotable
from curette.tasks.methods.llm.shown import Pictures, picture_name, picture_tokens
from curette.tasks.methods.llm.tokens import count_tokens
from curette.tasks.propose.forms import CONCEPTS, TOKENS_A_STATEMENT, Concepts
from curette.tasks.propose.proposals import Found, Proposal
from curette.tasks.propose.sampling import failure_of, sift_statements
from curette.tasks.propose.templates import fill, template, template_sha256

_PARTS: Final = ("caption", "statements", "concepts_form")

AskAbout = Callable[[Sequence[Question[Any]], Pictures], list[Answered[Any]]]


@dataclass(frozen=True)
class Exhibit:
    """A training image that is shown."""

    image_id: str
    sha256: str
    class_key: str


@dataclass(frozen=True)
class Gallery:
    """All images that are shown, and where their pixels come from."""

    exhibits: tuple[Exhibit, ...]
    pictures: Pictures


def drawn_exhibits(dataset: ImageDataset, per_class: int) -> tuple[Exhibit, ...]:
    """Return training images of each class, of a group not shown yet while there is one.

    Their order has nothing to do with what they show, and stays when others join them.
    """
    rows = dataset.images.iloc[dataset.rows("train")].sort_values("sha256")
    found: list[Exhibit] = []
    for label in dataset.classes:
        own = rows[rows["label"] == label.key].drop_duplicates("sha256")
        turn = own.groupby("group").cumcount()
        chosen = own.assign(turn=turn).sort_values(["turn", "sha256"]).head(per_class)
        found += [
            Exhibit(str(row.image_id), str(row.sha256), label.key) for row in chosen.itertuples()
        ]
    return tuple(found)


def describe_images(
    gallery: Gallery, source: CaptionSource, modality: str, model: str, ask: AskAbout
) -> Found:
    """Return what the model says of each image.

    Raises:
        StudyError: the model does not see: shown a red disc, it says nothing of red. No image of
            the study was sent then.
    """
    prompt = write_prompt(source, modality)

    def question(sha256: str) -> Question[Concepts]:
        return Question(prompt, CONCEPTS, picture=picture_name(sha256, source.image_side))

    *coloured, _ = control_pictures()
    shown = ask([question(picture.sha256) for picture in coloured], gallery.pictures)
    for picture, answered in zip(coloured, shown, strict=True):
        said = answered.answer.concepts if answered.answer else ()
        if not any(picture.colour in text.casefold() for text in said):
            raise StudyError(
                f"propose.sources: shown {picture.name}, {model} says nothing of "
                f"{picture.colour}, so it does not see what it is shown. No image of the study "
                "was sent. Name a model that takes images, served with its vision part."
            )
    proposals: list[Proposal] = []
    failures: list[AskFailure] = []
    answers = ask([question(one.sha256) for one in gallery.exhibits], gallery.pictures)
    for exhibit, answered in zip(gallery.exhibits, answers, strict=True):
        key, request = exhibit.class_key, answered.request_sha256
        if answered.answer is None:
            failures.append(failure_of(key, answered))
            continue
        origin = CaptionOrigin(
            model=model,
            prompt_sha256=template_sha256(*_PARTS),
            request_sha256=request,
            image_id=exhibit.image_id,
        )
        said_of_it = [(text, (key,)) for text in answered.answer.concepts]
        usable, others = sift_statements(said_of_it, prompt, key, request, origin)
        proposals += usable
        failures += others
    return Found(
        proposals=tuple(proposals),
        failures=tuple(failures),
        said=f"{model}: descriptions of {len(gallery.exhibits)} training images",
    )


def write_prompt(source: CaptionSource, modality: str) -> str:
    """Return the question, which is the same about all images."""
    text = template(*_PARTS)
    return fill(text, modality=quotable(modality), count=str(source.concepts_per_answer))


def forecast_captions(
    classes: Sequence[ClassLabel], source: CaptionSource, modality: str, llm: LlmSpec
) -> RequestForecast:
    """Return what `describe_images` will ask, were every class to have as many images."""
    asked = len(classes) * source.images_per_class + len(control_pictures()) - 1
    words = count_tokens(write_prompt(source, modality), llm.model)
    return RequestForecast(
        name="captions",
        fewest=asked,
        most=asked,
        stored=None,
        prompt_tokens_each=float(words + picture_tokens(source.image_side)),
        completion_tokens_each=llm.expected_tokens(source.concepts_per_answer * TOKENS_A_STATEMENT),
        note="one question an image; fewer where a class has fewer training images",
    )
