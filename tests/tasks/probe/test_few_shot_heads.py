"""Concepts help where labels are few and do no harm where they are many; folding loses nothing."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from jaxtyping import Float
from scipy.special import softmax

from curette.schemas.artifact import StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.draws import Draw, Draws
from curette.schemas.heads import HeadKind
from curette.schemas.images import TestLabels
from curette.schemas.probe import Heads, HeadStack
from curette.schemas.settings.draw import FewShotSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.methods.features import head_features
from curette.tasks.methods.solvers.prior import concept_metric, train_prior_heads
from curette.tasks.probe import draws as of_draws
from curette.tasks.probe.chance import draw_concepts
from curette.tasks.probe.protocols import train_on_draws
from curette.tasks.probe.training import train_heads
from tests.builders.published_study import KEYS, published_study

_SPEC, _PROBE = FewShotSpec(), ProbeSpec(l2_values=(10.0, 0.1, 1e-3))
_PRIORS = _SPEC.model_copy(
    update={"heads": ("averaged_linear_probe", "prior", "pulled_hybrid", "shuffled_prior")}
)


def _draw(published: ConceptDataset, shots: int | None, seeds: int = 8) -> Draws:
    """Draw images a class, and take all concepts that point somewhere."""
    train = published.images.iloc[published.rows("train")]
    concepts = tuple(c.concept_id for i, c in enumerate(published.pool) if i % 6 < 4)
    draws = []
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(train))
        shuffled = train.iloc[order]
        drawn = [
            shuffled.index[(shuffled["label"] == key).to_numpy()][:shots].tolist() for key in KEYS
        ]
        ids = tuple(published.images["image_id"][[i for rows in drawn for i in rows]])
        draws.append(Draw(shots=shots, seed=seed, image_ids=ids, concept_ids=concepts))
    return _few(tuple(draws))


def _few(draws: tuple[Draw, ...]) -> Draws:
    return Draws(protocol="few shots", draws=draws)


def _train_all(
    published: ConceptDataset,
    draws: Draws,
    spec: FewShotSpec,
    settings: ProbeSpec = _PROBE,
    known: Heads | None = None,
) -> Heads:
    """Train what a study asks for so."""
    drawn = tuple(
        d.model_copy(update={"seeds": spec.seeds if d.shots is None else 1}) for d in draws.draws
    )
    asked = draws.model_copy(update={"heads": spec.heads, "draws": drawn})
    return train_on_draws(published, asked, settings, known)


def _train(
    published: ConceptDataset,
    draws: Draws,
    spec: FewShotSpec,
    settings: ProbeSpec = _PROBE,
    known: Heads | None = None,
) -> HeadStack:
    return _train_all(published, draws, spec, settings, known).stack


def _accuracies(
    published: ConceptDataset, test: TestLabels, heads: HeadStack
) -> dict[HeadKind, float]:
    """Return the mean balanced accuracy over draws of each kind of head."""
    rows = published.rows("test")
    labels = np.array([KEYS.index(test.labels[i]) for i in published.images["image_id"][rows]])
    right = _logits(heads, published.vectors[rows]).argmax(3) == labels
    reached = np.mean([right[..., labels == k].mean(axis=2) for k in range(3)], axis=0)
    return dict(zip(heads.kinds, reached.mean(axis=0).tolist(), strict=True))


def _logits(
    heads: HeadStack, vectors: Float[np.ndarray, "image dim"]
) -> Float[np.ndarray, "draw head image class"]:
    return np.einsum("nd,shkd->shnk", vectors, heads.weights) + heads.bias[:, :, None]


def test_a_prior_helps_at_one_shot_and_does_no_harm_at_many() -> None:
    published, test = published_study(noise=2.2, seed=3)
    one = _accuracies(published, test, _train(published, _draw(published, 1, 6), _PRIORS))
    every = _accuracies(published, test, _train(published, _draw(published, None, 1), _PRIORS))
    for head in ("prior", "pulled_hybrid"):
        assert one[head] > one["linear_probe"] + 0.2
        assert one[head] > one["averaged_linear_probe"] + 0.2
        assert every[head] > every["linear_probe"] - 0.05
    assert one["prior"] > one["shuffled_prior"] + 0.1


def test_a_concept_head_on_image_vectors_says_what_it_says_on_scores() -> None:
    published, _ = published_study()
    draws = _draw(published, 2, seeds=3)
    heads = _train(published, draws, _PRIORS)
    place = {c.concept_id: i for i, c in enumerate(published.pool)}
    selected = [place[c] for c in draws.draws[0].concept_ids]
    concepts = torch.from_numpy(published.pool_vectors[selected]).double()
    train, validation, test = (
        torch.from_numpy(published.vectors[published.rows(split)]).double() @ concepts.T
        for split in ("train", "validation", "test")
    )
    ids = published.images["image_id"][published.rows("train")].tolist()
    on_scores = train_prior_heads(
        train,
        torch.from_numpy(published.labels("train")),
        torch.tensor([[ids.index(i) for i in d.image_ids] for d in draws.draws]),
        torch.from_numpy(published.prior_signs[:, selected]).double(),
        concept_metric(concepts),
        validation,
        torch.from_numpy(published.labels("validation")),
    )
    folded = _logits(heads, published.vectors[published.rows("test")])
    np.testing.assert_allclose(
        folded[:, heads.kinds.index("prior")], on_scores.logits(test), rtol=1e-4, atol=1e-4
    )


@pytest.fixture(scope="module")
def three() -> tuple[ConceptDataset, Draws, Heads]:
    """Every head of three draws of two images a class, one of them on other concepts."""
    published, _ = published_study()
    first, second, third = _draw(published, 2, seeds=3).draws
    others = tuple(c.concept_id for i, c in enumerate(published.pool) if 0 < i % 6 < 5)
    draws = _few((first, second.model_copy(update={"concept_ids": others}), third))
    return published, draws, _train_all(published, draws, _SPEC)


def test_labels_outside_a_draw_are_not_looked_at(
    three: tuple[ConceptDataset, Draws, Heads],
) -> None:
    published, draws, first = three
    images = published.images.copy()
    drawn = {image for draw in draws.draws for image in draw.image_ids}
    outside = (images["split"] == "train") & ~images["image_id"].isin(drawn)
    assert outside.sum() > 20
    images.loc[outside, "label"] = images.loc[outside, "label"].map(
        dict(zip(KEYS, (*KEYS[1:], KEYS[0]), strict=True))
    )
    again = _train(replace(published, images=images), draws, _SPEC)
    np.testing.assert_array_equal(first.stack.weights, again.weights)
    np.testing.assert_array_equal(first.stack.bias, again.bias)


def test_draws_of_one_size_are_trained_as_each_would_be_alone(
    three: tuple[ConceptDataset, Draws, Heads],
) -> None:
    published, draws, together = three
    alone = _train(published, _few(draws.draws[1:2]), _SPEC)
    test = published.vectors[published.rows("test")]
    np.testing.assert_allclose(
        _logits(together.stack, test)[1], _logits(alone, test)[0], rtol=5e-2, atol=5e-2
    )


def test_a_prior_that_says_nothing_leaves_the_averaged_linear_probe() -> None:
    published, _ = published_study()
    neutral = tuple(p.model_copy(update={"answer": "neutral"}) for p in published.priors)
    heads = _train(replace(published, priors=neutral), _draw(published, 2, seeds=2), _PRIORS)
    kinds = heads.kinds.index("pulled_hybrid"), heads.kinds.index("averaged_linear_probe")
    hybrid, averaged = (_logits(heads, published.vectors)[:, kind] for kind in kinds)
    np.testing.assert_allclose(hybrid, averaged, rtol=5e-2, atol=5e-2)


def test_the_zero_shot_head_is_the_class_names_own(
    three: tuple[ConceptDataset, Draws, Heads],
) -> None:
    published, _, heads = three
    assert published.class_vectors is not None
    stack = heads.stack
    zero_shot = _logits(stack, published.vectors)[:, stack.kinds.index("zero_shot")]
    expected = (published.vectors @ published.class_vectors.T).argmax(1)
    np.testing.assert_array_equal(zero_shot.argmax(2), np.stack([expected] * 3))


def test_without_class_vectors_zero_shot_is_left_out_and_said_to_be() -> None:
    published, _ = published_study()
    nameless = replace(published, class_vectors=None)
    spec = FewShotSpec(heads=("zero_shot", "concept_matrix", "nearest_mean"))
    heads = _train_all(nameless, _draw(published, 1, seeds=1), spec)
    assert heads.stack.kinds == ("linear_probe", "nearest_mean")
    zero_shot, concept_matrix = heads.skipped
    assert zero_shot.name == "zero-shot"
    assert zero_shot.reason.startswith("the names of the classes have no vectors")
    assert concept_matrix.name == "concept matrix search"


@dataclass(frozen=True, eq=False)
class OfAll:
    """The heads of a dataset, and those of one draw of all its images in another order."""

    spec, settings = FewShotSpec(seeds=2), _PROBE.model_copy(update={"random_draws": 3})
    published: ConceptDataset
    test: TestLabels
    draw: Draw
    probe: Heads
    few: HeadStack


@pytest.fixture(scope="module")
def of_all() -> OfAll:
    published, test = published_study(noise=1.5)
    concepts = tuple(c.concept_id for c in published.concepts)
    draw = _draw(published, None, 1).draws[0].model_copy(update={"concept_ids": concepts})
    few = _train(published, _few((draw,)), OfAll.spec, OfAll.settings)
    return OfAll(published, test, draw, train_heads(published, OfAll.settings), few)


def test_all_images_train_the_heads_of_the_whole_dataset(of_all: OfAll) -> None:
    """The draw lists its images class by class, the dataset as they come."""
    published, test, few, every = of_all.published, of_all.test, of_all.few, of_all.probe
    rows = published.rows("test")
    ours = softmax(_logits(few, published.vectors[rows])[0], axis=2)
    compared = set()
    for head in every.heads:
        if head.facts.kind not in few.kinds or head.facts.draw > 1 or "NEC" in head.facts.name:
            continue
        theirs = softmax(head.logits(head_features(published, head, rows)), axis=1)
        mine = ours[few.kinds.index(head.facts.kind)]
        if head.facts.kind == "concept_matrix":  # on scores that are not of unit length here
            np.testing.assert_array_equal(mine.argmax(1), theirs.argmax(1))
        else:
            np.testing.assert_allclose(mine, theirs, atol=2e-3, err_msg=head.facts.name)
        compared.add(head.facts.kind)
    assert len(compared) == 11
    assert _accuracies(published, test, few)["majority"] == pytest.approx(1 / 3)


def test_what_all_images_trained_is_taken_over_and_the_rest_is_trained(of_all: OfAll) -> None:
    published, draw, probe, alone = of_all.published, of_all.draw, of_all.probe, of_all.few
    marked = replace(probe, heads=tuple(replace(h, bias=h.bias + 7) for h in probe.heads))
    known = {head.facts.kind for head in probe.heads}
    heads = _train(published, _few((draw,)), of_all.spec, of_all.settings, marked)
    for i, kind in enumerate(heads.kinds):
        shift = 7 if kind in known else 0
        np.testing.assert_allclose(heads.bias[:, i], alone.bias[:, i] + shift, atol=2e-3)
        np.testing.assert_allclose(heads.weights[:, i], alone.weights[:, i], rtol=2e-2, atol=2e-2)
    of_others = _few((draw.model_copy(update={"concept_ids": draw.concept_ids[1:]}),))
    labo = FewShotSpec(seeds=2, heads=("labo",))  # it has no bias of its own
    again = _train(published, of_others, labo, of_all.settings, marked)
    assert not again.bias[0, again.kinds.index("labo")].any()
    assert (heads.bias[0, heads.kinds.index("labo")] == 7).all()


def test_with_all_images_only_what_is_dealt_at_random_differs_between_seeds() -> None:
    published, _ = published_study()
    kinds: tuple[HeadKind, ...] = ("concept_bottleneck", "random_concepts", "majority")
    spec = FewShotSpec(heads=kinds, seeds=3)
    trained = _train_all(published, _draw(published, None, 1), spec)
    assert [(d.shots, d.seed) for d in trained.draws] == [(None, 0), (None, 1), (None, 2)]
    heads = trained.stack
    alike = {
        k: (heads.weights[:, i] == heads.weights[0, i]).all() for i, k in enumerate(heads.kinds)
    }
    assert not alike.pop("random_concepts")
    assert all(alike.values())


def test_draws_that_do_not_fit_into_memory_together_have_the_same_heads(
    three: tuple[ConceptDataset, Draws, Heads], monkeypatch: pytest.MonkeyPatch
) -> None:
    published, draws, together = three
    spec = FewShotSpec(heads=("concept_bottleneck", "sparse"))
    monkeypatch.setattr(of_draws, "_MOST_SCORES", 1)
    apart = _train_all(published, draws, spec)
    assert apart.draws == together.draws
    assert {"concept_bottleneck", "sparse"} <= {*apart.stack.kinds}
    same = [together.stack.kinds.index(kind) for kind in apart.stack.kinds]
    np.testing.assert_allclose(
        apart.stack.weights, together.stack.weights[:, same], rtol=5e-2, atol=5e-2
    )


def test_draws_in_another_order_have_the_same_heads(
    three: tuple[ConceptDataset, Draws, Heads],
) -> None:
    published, draws, forwards = three
    backwards = _train(published, _few(draws.draws[::-1]), _SPEC)
    test = published.vectors[published.rows("test")]
    np.testing.assert_allclose(
        _logits(forwards.stack, test), _logits(backwards, test)[::-1], rtol=5e-2, atol=5e-2
    )


def test_random_concepts_know_of_the_seed_and_of_nothing_else() -> None:
    published, _ = published_study()
    images = published.images.copy()
    train = images["split"] == "train"
    images.loc[train, "label"] = images.loc[train, "label"].to_numpy()[::-1]
    drawn = [
        [draw_concepts(some, 12, seed).tolist() for seed in range(3)]
        for some in (published, replace(published, images=images))
    ]
    assert drawn[0] == drawn[1]
    assert drawn[0][0] != drawn[0][1]
    assert {len(rows) for rows in drawn[0]} == {12}


def test_shuffled_labels_teach_nothing() -> None:
    published, test = published_study(noise=0.3)
    spec = FewShotSpec(heads=("shuffled_labels", "concept_bottleneck"))
    for shots in (1, 8):
        draws = _draw(published, shots, seeds=40)
        reached = _accuracies(published, test, _train(published, draws, spec))
        assert reached["shuffled_labels"] == pytest.approx(1 / 3, abs=0.12)
        assert reached["concept_bottleneck"] > 0.8


def test_random_concepts_are_worth_less_than_those_that_were_selected() -> None:
    published, test = published_study(noise=1.5)
    spec = FewShotSpec(heads=("random_concepts", "concept_bottleneck"))
    heads = _train(published, _draw(published, 4, seeds=20), spec)
    reached = _accuracies(published, test, heads)
    assert reached["concept_bottleneck"] > reached["random_concepts"]


def test_a_hybrid_needs_no_sparse_head_beside_it() -> None:
    published, _ = published_study()
    draws, spec = _draw(published, 2, seeds=2), FewShotSpec(heads=("hybrid",))
    alone = _train(published, draws, spec)
    assert alone.kinds == ("linear_probe", "hybrid")
    both = FewShotSpec(heads=("hybrid", "sparse"))
    beside = _train(published, draws, both)
    np.testing.assert_array_equal(alone.weights[:, 1], beside.weights[:, 2])


def test_only_the_heads_that_were_asked_for_are_trained() -> None:
    published, _ = published_study()
    spec = FewShotSpec(heads=("nearest_mean",))
    heads = _train(published, _draw(published, 1, seeds=1), spec)
    assert heads.kinds == ("linear_probe", "nearest_mean")


def test_choosing_without_validation_images_is_refused() -> None:
    published, _ = published_study()
    images = published.images.assign(
        split=published.images["split"].replace("validation", "test"),
        label=published.images["label"].where(published.images["split"] == "train", None),
    )
    with pytest.raises(StudyError, match="the validation split of by-hand has no image"):
        _train(replace(published, images=images), _draw(published, 1, seeds=1), _SPEC)
