"""The stage `probe` beside the study's own heads: on another encoder's vectors, or on resamples."""

from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.embeddings import ImageEmbeddings, StudyEmbeddings, TextEmbeddings
from curette.schemas.probe import Heads
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.probe import STAGE
from curette.tasks.stage import Workplace

_RESAMPLES = 5
"""As many as a study may have further encoders."""


@STAGE.task
def train_beside(
    at: Workplace,
    published: Ref[ConceptDataset],
    spec: ProbeSpec,
    embeddings: Ref[StudyEmbeddings] | None = None,
) -> Ref[Heads]:
    """Train heads that the evaluation holds beside the study's own.

    Args:
        at: where to work.
        published: images and concepts.
        spec: how heads are trained.
        embeddings: the same images and concepts in another encoder's vectors; None: the study's
            own, of which resampled training groups train.
    """
    from curette.tasks.probe.beside import train_on_encoder, train_on_resamples

    dataset = at.store.load(ConceptDataset, published)
    if embeddings is None:
        return at.store.save(train_on_resamples(dataset, spec, _RESAMPLES), STAGE.recipe())
    seen = at.store.load(StudyEmbeddings, embeddings)
    images = at.store.load(ImageEmbeddings, seen.images_ref)
    texts = at.store.load(TextEmbeddings, seen.texts_ref)
    return at.store.save(train_on_encoder(dataset, images, texts, spec), STAGE.recipe())
