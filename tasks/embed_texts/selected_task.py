"""The stage `embed_texts` for a further encoder: vectors of the selected concepts alone."""

from curette.schemas.artifact import Ref
from curette.schemas.concepts import ConceptSet
from curette.schemas.embeddings import ImageEmbeddings, StudyEmbeddings, TextEmbeddings
from curette.schemas.settings.encoder import EncoderSpec, ImageOnlyEncoder, PrecomputedEncoder
from curette.tasks.embed_texts import STAGE
from curette.tasks.embed_texts.task import encode_texts, save_embeddings
from curette.tasks.stage import Workplace


@STAGE.task
def embed_selected(
    at: Workplace,
    concepts: Ref[ConceptSet],
    images: Ref[ImageEmbeddings],
    spec: EncoderSpec,
) -> Ref[StudyEmbeddings]:
    """Embed the statements of the selected concepts, where the encoder reads text.

    What was found among the vectors of the study's own encoder has none in another's space.
    """
    selected = at.store.load(ConceptSet, concepts).concepts
    texts = tuple(c.text for c in selected if all(o.kind != "discovered" for o in c.origins))
    vectors: TextEmbeddings | None = None
    if isinstance(spec, PrecomputedEncoder):
        from curette.tasks.methods.encoder.precomputed import known_texts, look_up_texts

        vectors = look_up_texts(spec, known_texts(spec, texts))
    elif texts and not isinstance(spec, ImageOnlyEncoder):
        vectors = encode_texts(texts, spec, at.machine, at.store)
    return save_embeddings(at, images, vectors, {}, ())
