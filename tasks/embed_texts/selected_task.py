"""The stage `embed_texts` for a further encoder: vectors of the selected concepts alone."""

from curette.schemas.artifact import Ref
from curette.schemas.concepts import ConceptSet
from curette.schemas.embeddings import ImageEmbeddings, StudyEmbeddings
from curette.schemas.settings.encoder import EncoderSpec, ImageOnlyEncoder, PrecomputedEncoder
from curette.tasks.embed_texts import STAGE
from curette.tasks.embed_texts.task import read_texts, save_embeddings
from curette.tasks.stage import Workplace


@STAGE.task
def embed_selected(
    at: Workplace,
    concepts: Ref[ConceptSet],
    images: Ref[ImageEmbeddings],
    spec: EncoderSpec,
) -> Ref[StudyEmbeddings]:
    """Embed the statements of the selected concepts, where the encoder reads text.

    What was found among the vectors of the study's own encoder has none in another's space, and
    ready-made vectors may lack some.
    """
    if isinstance(spec, ImageOnlyEncoder):
        return save_embeddings(at, images, None, {}, ())
    selected = at.store.load(ConceptSet, concepts).concepts
    texts = tuple(c.text for c in selected if all(o.kind != "discovered" for o in c.origins))
    if isinstance(spec, PrecomputedEncoder):
        from curette.tasks.methods.encoder.precomputed import texts_of

        there = texts_of(spec)
        texts = tuple(text for text in texts if text in there)
    vectors = read_texts(at, texts, spec) if texts else None
    return save_embeddings(at, images, vectors, {}, (), spec.reference)
