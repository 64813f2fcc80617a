"""Pages about single images say what was decided and why, ask nobody, and trust no text."""

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from markupsafe import escape
from PIL import Image

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.images import ClassLabel
from curette.schemas.probe import Head, HeadFacts
from curette.tasks.explain.page import explain_subject, explanation_page
from curette.tasks.explain.predictions import Prediction, predict_images, predictions_page
from curette.tasks.explain.subjects import Subject, subject_of_dataset, subject_of_file
from curette.tasks.methods.explanation import ConceptPart, Explainer
from curette.tasks.methods.page.decision import standing
from curette.tasks.methods.page.pictures import PictureBook
from curette.tasks.methods.page.sprites import Sprites
from tests.builders.published_study import KEYS, published_study
from tests.pages import (
    HOSTILE,
    check_asks_nobody,
    check_hostile_text_stays_text,
    check_only_our_script_runs,
    check_tables_say_what_their_heads_are_of,
    picture_texts,
    tags_of,
)

PUBLISHED, _ = published_study()
TEST, TRAIN = (int(PUBLISHED.rows(split)[0]) for split in ("test", "train"))
RED = Image.new("RGB", (40, 20), (200, 30, 60))


def a_head(published: ConceptDataset) -> Head:
    """Return random weights on the concepts of the pool."""
    generator = np.random.default_rng(0)
    return Head(
        HeadFacts(
            name="concept bottleneck",
            kind="concept_bottleneck",
            family="concept bottleneck",
            inputs="scores",
            candidates=published.pool,
            nec=1,
            chosen={},
            validation_loss=0,
            validation_balanced_accuracy=0,
        ),
        weights=generator.normal(size=(3, len(published.pool))),
        bias=generator.normal(size=3),
        center=generator.normal(size=len(published.pool)),
    )


def spoiled() -> ConceptDataset:
    """Return a dataset every text of which wants to be code."""
    facts = PUBLISHED.facts.model_copy(
        update={
            "name": HOSTILE,
            "classes": tuple(ClassLabel(key=k, name=f"{k} {HOSTILE}") for k in KEYS),
            "encoder": PUBLISHED.facts.encoder.model_copy(update={"demo": True}),
        }
    )
    ids = [f"{i} {HOSTILE}" for i in PUBLISHED.images["image_id"]]
    pool = tuple(c.model_copy(update={"text": f"{c.text} {HOSTILE}"}) for c in PUBLISHED.pool)
    images = PUBLISHED.images.assign(image_id=ids)
    return replace(PUBLISHED, facts=facts, images=images, pool=pool)


def png(_: str) -> bytes:
    content = io.BytesIO()
    RED.save(content, "PNG")
    return content.getvalue()


def nowhere(image_id: str) -> bytes:
    raise FileNotFoundError(image_id)


def heat(pixels: Image.Image, parts: Sequence[ConceptPart]) -> list[Image.Image]:
    return [pixels.resize((9, 9)) for _ in parts]


def pages(published: ConceptDataset, name: str = "") -> tuple[str, str]:
    """Return a page about three images of the dataset and a strange one, and one of predictions."""
    explainer = Explainer(published, a_head(published))
    head = explainer.head.facts.model_copy(update={"edits": (f"cap {name}",)})
    ids = published.images["image_id"]
    subjects = [subject_of_dataset(published, ids[i], RED) for i in (TEST, TRAIN)]
    subjects.append(replace(subjects[0], pixels=None))
    subjects.append(Subject(f"new {name}", "A new image.", -published.vectors[TEST], None, RED))
    explained = [explain_subject(explainer, subject) for subject in subjects]
    files = [f"a {name}", f"b/{name}", f"c{name}"]
    vectors = np.stack([s.vector for s in subjects[1:]])
    rows = [
        *predict_images(explainer, files, vectors),
        Prediction(f"d{name}", refused=f"broken {name}"),
    ]
    thumbnails = dict.fromkeys(files, RED.resize((32, 32)))
    return (
        explanation_page(published, explained, PictureBook(png, 32), heat, head),
        predictions_page(published, rows, Sprites(thumbnails, 32), f"folder {name}", head),
    )


@pytest.mark.parametrize("page", pages(spoiled(), HOSTILE), ids=["explain", "predict"])
def test_text_from_the_data_stays_text(page: str) -> None:
    check_hostile_text_stays_text(page)
    check_asks_nobody(page)
    check_only_our_script_runs(page)
    check_tables_say_what_their_heads_are_of(page)


def test_the_page_says_what_each_decision_rests_on() -> None:
    page, _ = pages(PUBLISHED)
    explainer = Explainer(PUBLISHED, a_head(PUBLISHED))
    e = explainer.explain(PUBLISHED.vectors[TEST], PUBLISHED.images["group"][TEST])
    more = ["more" if p.score > p.mean else "less" for p in e.parts]
    sentence = (
        f"Decided as {e.decision.name} ({e.decision.probability:.0%}), ahead of "
        f"{e.runner_up.name} ({e.runner_up.probability:.0%}), mainly because it shows "
        f"{more[0]} of “{e.parts[0].text}” and {more[1]} of “{e.parts[1].text}” than usual."
    )
    assert str(escape(sentence)) in page
    for part in e.parts:
        assert f'<th scope="row">{part.text}</th><td>{part.ahead:+.3f}</td>' in page
    assert "its label is held out" in page.replace("Test split, ", "")
    assert "the head was trained on it" in page


def test_pictures_say_class_and_reason() -> None:
    page, predictions = pages(PUBLISHED)
    texts = picture_texts(page)
    assert all(t.startswith(("class ", "where “")) or ", decided as class " in t for t in texts), (
        texts
    )
    assert any("among the training images most like" in t for t in texts)
    assert {t.split(":")[0][:5] for t in picture_texts(predictions)} == {"class", "refus"}


def test_an_image_unlike_all_training_images_is_told_so_on_both_pages() -> None:
    for page in pages(PUBLISHED):
        assert page.count("unlike anything trained on</span>") == 1
        assert "o not rely on" in page


def test_without_pixels_the_decision_is_told_all_the_same() -> None:
    explainer = Explainer(PUBLISHED, a_head(PUBLISHED))
    subject = subject_of_dataset(PUBLISHED, PUBLISHED.images["image_id"][TEST], None)
    explained = [explain_subject(explainer, subject)]
    page = explanation_page(
        PUBLISHED, explained, PictureBook(nowhere, 32), None, explainer.head.facts
    )
    assert str(escape(explained[0].sentence)) in page
    assert "url(" not in page


def test_a_new_image_is_told_what_it_is_a_copy_of() -> None:
    def about(sha256: str, cosine: float) -> str:
        subject = subject_of_file(
            PUBLISHED, "a.png", sha256, PUBLISHED.vectors[TEST], RED, lambda _: (TRAIN, cosine), 0.9
        )
        return subject.about

    row = PUBLISHED.images.iloc[TRAIN]
    known = f"{row['image_id']}, train split, labelled class {row['label']}; the head was trained"
    assert about(row["sha256"], 0.0).startswith(f"Its bytes are those of {known}")
    assert f"is a near-duplicate of {row['image_id']} (cosine 0.9500), train split" in about(
        "", 0.95
    )
    assert about("", 0.5) == "A new image: none of the dataset's has its bytes."


def test_predictions_are_rows_that_can_be_sorted_and_filtered() -> None:
    _, page = pages(PUBLISHED)
    rows = [a for tag, a in tags_of(page) if tag == "tr" and "data-state" in a]
    assert [a["data-state"] for a in rows] == ["usual", "usual", "unlike", "refused"]
    assert rows[0]["data-decided"] in {c.name for c in PUBLISHED.facts.classes}
    explainer = Explainer(PUBLISHED, a_head(PUBLISHED))
    [said] = predict_images(explainer, ["x"], PUBLISHED.vectors[[TRAIN]])
    e = explainer.explain(PUBLISHED.vectors[TRAIN])
    assert said.reasons == tuple(p.text for p in e.parts if p.ahead > 0)[:3]
    assert said.ahead == pytest.approx([p.ahead for p in e.parts][:3])
    for reason, ahead in zip(said.reasons, said.ahead, strict=True):
        assert f"of “{reason}” <small>{ahead:+.2f}</small>" in page


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (1.0, "above 99% of training images"),
        (0.8, "above 80% of training images"),
        (0.5, "in the middle of training images"),
        (0.0, "below 99% of training images"),
    ],
)
def test_where_a_score_stands_is_said_in_words(share: float, words: str) -> None:
    assert standing(share) == words


def test_thumbnails_lie_in_the_page_or_in_sheets_beside_it() -> None:
    colours = [(i % 16 * 16, i // 16 * 8, 99) for i in range(500)]
    images = {f"{i}": Image.new("RGB", (16, 16), c) for i, c in enumerate(colours)}
    sprites = Sprites(images, 16, "p_files")
    assert [p.uri for p in sprites.shown] == ["p_files/sheet-0.jpg", "p_files/sheet-1.jpg"]
    assert all(p.uri.startswith("data:") for p in Sprites(images, 16).shown)
    for i in (0, 21, 399, 400, 499):
        sprite = sprites.of(f"{i}")
        assert sprite is not None
        x, y = (int(v.removesuffix("px")) for v in sprite.place.split())
        sheet = Image.open(io.BytesIO(sprites.sheets[f"sheet-{sprite.css[1:]}.jpg"]))
        assert sheet.getpixel((8 - x, 8 - y)) == pytest.approx(colours[i], abs=12)
    page = predictions_page(
        PUBLISHED, [Prediction("0", refused="gone")], sprites, "many", a_head(PUBLISHED).facts
    )
    check_asks_nobody(page, *(p.uri for p in sprites.shown))
    assert "img-src data: 'self'" in page
    assert sprites.of("no such file") is None
