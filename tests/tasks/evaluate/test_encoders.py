"""What disagreement of encoders tells of mistakes, against scikit-learn, SciPy and by hand."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import spearmanr
from sklearn.metrics import balanced_accuracy_score, log_loss, roc_auc_score

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.embeddings import EncoderIdentity, ImageEmbeddings, TextEmbeddings
from curette.schemas.heads import EXPLAINED, REFERENCE
from curette.schemas.questions.encoders import EncoderDoubt, EncoderTable
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.evaluate.encoders import FurtherEncoder
from curette.tasks.evaluate.exam import Exam
from curette.tasks.evaluate.images import join_test_labels
from curette.tasks.evaluate.questions import encoders
from curette.tasks.methods.page.render import render
from curette.tasks.probe.beside import as_seen_by, train_on_encoder, train_on_resamples
from curette.tasks.probe.training import train_heads
from curette.tasks.report.render import _TEMPLATES as TEMPLATES
from curette.tasks.report.sections.encoders import encoder_section
from tests.builders.published_study import DIM, published_study

_SPEC = ProbeSpec(epochs=5, random_draws=1, heads=())
_WIDE = DIM + 5


def _other(
    published: ConceptDataset, name: str, seed: int, reads_text: bool = True
) -> tuple[ImageEmbeddings, TextEmbeddings]:
    """Return the dataset in a wider space, seen with errors of its own."""
    generator = np.random.default_rng(seed)
    turn = np.linalg.qr(generator.normal(size=(_WIDE, DIM)))[0].astype(np.float32)
    seen = published.vectors @ turn.T + 0.25 * generator.normal(size=(len(published.images), _WIDE))
    texts = [c.text for c in published.concepts] if reads_text else []
    words = published.pool_vectors[published.pool_rows(c.concept_id for c in published.concepts)]
    words = (words @ turn.T)[: len(texts)]
    made = EncoderIdentity(name=f"made {name}", digest=f"{seed:064x}", dim=_WIDE, demo=False)
    return (
        ImageEmbeddings(tuple(published.images["image_id"]), _unit(seen), made),
        TextEmbeddings(tuple(texts), _unit(words), made),
    )


def _unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _further(published: ConceptDataset, name: str, seed: int, **told: bool) -> FurtherEncoder:
    images, texts = _other(published, name, seed, **told)
    heads = train_on_encoder(published, images, texts, _SPEC)
    return FurtherEncoder(name, images.encoder, images.vectors, heads)


@pytest.fixture(scope="module")
def alone() -> Exam:
    published, test = published_study(noise=3)
    probe = train_heads(published, _SPEC)
    return Exam(published, probe, join_test_labels(published, test), EvaluateSpec(resamples=100))


@pytest.fixture(scope="module")
def exam(alone: Exam) -> Exam:
    published = alone.published
    return replace(
        alone,
        encoders=(
            _further(published, "clip", 1),
            _further(published, "dino", 2, reads_text=False),
        ),
        resampled=train_on_resamples(published, _SPEC, 3),
    )


@pytest.fixture(scope="module")
def table(exam: Exam) -> EncoderTable:
    table = encoders.measure(exam)
    assert table is not None
    return table


def _of(table: EncoderTable, kind: str) -> EncoderDoubt:
    return next(doubt for doubt in table.heads if doubt.head_kind == kind)


def test_one_encoder_alone_is_not_asked(alone: Exam) -> None:
    assert encoders.measure(alone) is None


def test_an_encoder_of_images_is_beside_linear_probes_alone(table: EncoderTable) -> None:
    assert _of(table, EXPLAINED).encoders == ("clip",)
    assert _of(table, REFERENCE).encoders == ("clip", "dino")
    assert [e.concepts for e in table.encoders] == [6, 0]


def test_signs_are_what_scikit_learn_and_scipy_say(exam: Exam, table: EncoderTable) -> None:
    told = _of(table, REFERENCE)
    own = exam.answers(REFERENCE).draws[0]
    said = [e.probabilities(exam.published, REFERENCE) for e in exam.encoders]
    wrong = own.argmax(1) != exam.images.labels
    doubt = {
        "confidence": -own.max(1),
        # of three heads: the entropy of the mean less the mean entropy, by two-way divergences
        "encoders": np.mean(
            [_relative_entropy(p, np.mean([own, *said], axis=0)) for p in (own, *said)], axis=0
        ),
        "encoders together": -np.mean([own, *said], axis=0)[np.arange(len(own)), own.argmax(1)],
    }
    for sign in told.signs:
        if sign.sign in doubt:
            assert sign.auroc.value == pytest.approx(roc_auc_score(wrong, doubt[sign.sign]))
            order = np.argsort(doubt[sign.sign], kind="stable")
            area = np.mean(np.cumsum(wrong[order]) / np.arange(1, len(order) + 1))
            assert sign.aurc.value == pytest.approx(area)
            assert sign.aurc.low <= sign.aurc.value <= sign.aurc.high
    first, second = told.signs[0], told.signs[1]
    assert first.difference is None
    assert second.difference is not None
    assert second.difference.value == pytest.approx(second.aurc.value - first.aurc.value)
    differing = np.any([p.argmax(1) != own.argmax(1) for p in said], axis=0)
    assert (told.differing, told.mistakes) == (differing.sum(), wrong.sum())
    assert told.wrong_differing is not None
    assert told.wrong_differing.value == pytest.approx(wrong[differing].mean())


def _relative_entropy(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    return np.asarray((p * np.log(p / q)).sum(1))


def test_two_heads_are_as_far_apart_as_scipy_says(exam: Exam, table: EncoderTable) -> None:
    own = exam.answers(EXPLAINED).draws[0]
    said = exam.encoders[0].probabilities(exam.published, EXPLAINED)
    wrong = own.argmax(1) != exam.images.labels
    expected = roc_auc_score(wrong, jensenshannon(own, said, axis=1) ** 2)
    assert _of(table, EXPLAINED).signs[1].auroc.value == pytest.approx(expected)


def test_answers_are_those_of_each_head_and_of_the_mean(exam: Exam, table: EncoderTable) -> None:
    told = {a.name: a for a in _of(table, REFERENCE).answers}
    said = [e.probabilities(exam.published, REFERENCE) for e in exam.encoders]
    mean = np.mean([exam.answers(REFERENCE).draws[0], *said], axis=0)
    for name, p in (("clip", said[0]), ("dino", said[1]), ("mean of all encoders", mean)):
        labels = exam.images.labels
        accuracy = balanced_accuracy_score(labels, p.argmax(1))
        assert told[name].balanced_accuracy.value == pytest.approx(accuracy)
        assert told[name].log_loss.value == pytest.approx(log_loss(labels, p))
    own = told[exam.published.facts.encoder.name]
    together = told["mean of all encoders"]
    assert own.difference is None
    assert together.difference is not None
    assert together.difference.value == pytest.approx(
        together.balanced_accuracy.value - own.balanced_accuracy.value
    )


def test_another_encoder_sees_the_concepts_by_vectors_of_its_own(exam: Exam) -> None:
    published = exam.published
    images, texts = _other(published, "clip", 1)
    seen = as_seen_by(published, images, texts)
    assert seen.pool == tuple(
        published.pool[row] for row in published.pool_rows(c.concept_id for c in seen.concepts)
    )
    assert {p.concept_id for p in seen.priors} == {c.concept_id for c in seen.concepts}
    head = exam.encoders[0].heads.head(EXPLAINED)
    rows = published.rows("test")
    by_hand = images.vectors[rows].astype(np.float64) @ texts.vectors.astype(np.float64).T
    logits = by_hand @ head.weights.T + head.bias
    said = exam.encoders[0].probabilities(published, EXPLAINED)
    assert said == pytest.approx(np.exp(logits) / np.exp(logits).sum(1, keepdims=True))


def test_resampled_heads_are_the_same_however_many_there_are(exam: Exam) -> None:
    few, more = (train_on_resamples(exam.published, _SPEC, count) for count in (1, 3))
    assert [h.facts.trained_on for h in more.heads] == [0, 0, 1, 1, 2, 2]
    for one, other in zip(few.heads, more.heads, strict=False):
        np.testing.assert_array_equal(one.weights, other.weights)
    assert (more.of(1).heads[0].weights != more.of(2).heads[0].weights).any()


def test_images_on_which_encoders_part_are_shown_the_furthest_apart_first(
    table: EncoderTable,
) -> None:
    assert table.examples
    assert all(len(set(x.says)) > 1 for x in table.examples)
    doubts = [x.doubt for x in table.examples]
    assert doubts == sorted(doubts, reverse=True)


def test_a_concept_is_told_beside_how_alike_scores_of_the_others_are(
    exam: Exam, table: EncoderTable
) -> None:
    published = exam.published
    rows = published.rows("validation")
    images, texts = _other(published, "clip", 1)
    theirs = images.vectors[rows] @ texts.vectors.T
    assert [c.text for c in table.concepts] == [c.text for c in published.concepts]
    assert {c.encoder for c in table.concepts} == {"clip"}
    for number, told in enumerate(table.concepts):
        own = published.scores[rows][:, number]
        found = [spearmanr(own, theirs[:, j]).statistic for j in range(theirs.shape[1])]
        assert told.alike.value == pytest.approx(found.pop(number))
        assert told.others is not None
        assert told.others.value == pytest.approx(np.mean(found))


def test_a_concept_that_another_encoder_sees_by_chance_is_doubtful(exam: Exam) -> None:
    published = exam.published
    images, texts = _other(published, "clip", 1)
    chance = np.random.default_rng(7).normal(size=(1, _WIDE)).astype(np.float32)
    mixed = TextEmbeddings(
        texts.keys, np.concatenate([_unit(chance), texts.vectors[1:]]), texts.encoder
    )
    heads = train_on_encoder(published, images, mixed, _SPEC)
    seen = FurtherEncoder("clip", images.encoder, images.vectors, heads)
    table = encoders.measure(replace(exam, encoders=(seen,)))
    assert table is not None
    doubtful = [c.is_doubtful for c in table.concepts]
    assert doubtful[0]
    assert not all(doubtful)


def test_the_report_tells_each_sign_beside_confidence(table: EncoderTable) -> None:
    section = encoder_section(table, "by hand") | {"examples": []}
    page = render("sections/encoders.html.j2", [TEMPLATES], told=section)
    assert page.count("its own confidence") == 2
    assert "none: it reads no text" in page
    d = table.heads[0]
    assert f"on {d.differing} of {d.images} images" in section["meaning"]
