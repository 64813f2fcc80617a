"""Training every head of a concept dataset, on its training and validation images alone."""

from collections.abc import Iterator

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.heads import trained
from curette.schemas.probe import Head, Probe, SkippedHead
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.probe.concept_heads import (
    train_concept_bottleneck,
    train_on_shuffled_labels,
    train_prior,
    train_random_concepts,
)
from curette.tasks.probe.grounded_heads import Grounding
from curette.tasks.probe.sparse_heads import train_random_sparse, train_sparse
from curette.tasks.probe.training import Training
from curette.tasks.probe.vector_heads import (
    class_prompts,
    concept_matrix,
    majority,
    train_hybrid_of,
    train_linear_probe,
)

_NOT_GROUNDED = SkippedHead(
    name="concept bottleneck, grounded",
    kind="grounded",
    reason="no selected concept has labels of both kinds on enough training images. Name "
    "true/false columns, and the statements that claim them, under `dataset.attributes`.",
)


def train_heads(published: ConceptDataset, spec: ProbeSpec) -> Probe:
    """Train the heads that the spec names, and their baselines.

    Whatever is chosen is chosen on validation images. Each baseline that chance has a part in is
    drawn several times: bottlenecks and sparse heads on as many concepts drawn from the same pool,
    and bottlenecks on shuffled labels.

    Raises:
        StudyError: a split is empty.
    """
    training = Training.of(published, spec)
    wanted = trained("all images", spec.heads)
    grounding = Grounding.of(training) if "random_directions" in wanted else None
    made = list(_train(training, grounding))
    skipped = {head.name: head for head in made if isinstance(head, SkippedHead)}
    return Probe(
        class_keys=published.class_keys,
        heads=tuple(head for head in made if isinstance(head, Head)),
        skipped=tuple(skipped.values()),
        grounding=grounding.concepts if grounding else (),
    )


def _train(training: Training, grounding: Grounding | None) -> Iterator[Head | SkippedHead]:
    wanted = trained("all images", training.spec.heads)
    yield train_linear_probe(training)
    yield train_concept_bottleneck(training)
    if "sparse" in wanted:
        sparse = train_sparse(training)
        chosen = sparse.chosen()
        yield chosen
        yield from sparse.at_each_nec()
        if "hybrid" in wanted:
            yield train_hybrid_of(training, chosen)
    if "prior" in wanted:
        yield train_prior(training)
    if "grounded" in wanted:
        yield grounding.head() if grounding else _NOT_GROUNDED
    if "zero_shot" in wanted:
        yield class_prompts(training)
    if "concept_matrix" in wanted:
        yield concept_matrix(training)
    yield from _train_baselines(training, grounding)
    yield majority(training)


def _train_baselines(
    training: Training, grounding: Grounding | None
) -> Iterator[Head | SkippedHead]:
    """Yield the baselines that chance has a part in, each drawn several times."""
    wanted, draws = (
        trained("all images", training.spec.heads),
        range(1, training.spec.random_draws + 1),
    )
    for draw in draws:
        yield train_random_concepts(training, draw)
    if "random_sparse" in wanted:
        for draw in draws:
            yield from train_random_sparse(training, draw).at_each_nec()
    if grounding:
        for draw in draws:
            yield grounding.random_head(draw)
    if "shuffled_labels" in wanted:
        for draw in draws:
            yield train_on_shuffled_labels(training, draw)
