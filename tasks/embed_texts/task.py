"""The stage `embed_texts`: one unit vector a text, none made twice."""

import numpy as np
from jaxtyping import Float32

from curette.schemas.artifact import Ref, StudyError
from curette.schemas.candidates import CandidateSet
from curette.schemas.embeddings import ImageEmbeddings, StudyEmbeddings, TextEmbeddings
from curette.schemas.images import ImageDataset
from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import (
    EncoderSpec,
    ImageOnlyEncoder,
    PrecomputedEncoder,
    ReadingEncoder,
    class_prompt,
)
from curette.storage.store import ArtifactStore
from curette.storage.vectors import VectorShelf
from curette.tasks.embed_texts import STAGE
from curette.tasks.methods.encoder.reference import less_reference
from curette.tasks.stage import Workplace, leave_markdown, leave_table, progress


@STAGE.task
def embed_texts(
    at: Workplace,
    dataset: Ref[ImageDataset],
    images: Ref[ImageEmbeddings],
    candidates: Ref[CandidateSet],
    reworded: tuple[str, ...],
    spec: EncoderSpec,
    renamed: tuple[tuple[str, str], ...] | None = None,
) -> Ref[StudyEmbeddings]:
    """Embed the candidates' texts, those that a reviewer reworded, and the classes' names.

    What was found among images has its vector already, under whatever words: `renamed` are a
    reviewer's, each with those that stood there.

    Where there is a reference, the statements' vectors lead away from it; those of names and of
    what was found do not. Ready-made vectors may lack the names: then nothing is compared with
    them. Where the encoder reads no text, a candidate's vector is learned from the column that
    decides it, and classes have none.

    Raises:
        StudyError: the encoder changed after the images were embedded, or a statement's vector is
            that of the reference.
    """
    came = at.store.load(CandidateSet, candidates)
    found = _found(at, came, renamed or ())
    proposed = [c.text for c in came.candidates if c.text not in found]
    reworded = tuple(text for text in reworded if text not in found)
    about = at.store.load(ImageDataset, dataset)
    if isinstance(spec, ImageOnlyEncoder):
        from curette.tasks.embed_texts.directions import learn_directions

        texts = tuple(dict.fromkeys([*proposed, *reworded]))
        given = at.store.load(ImageEmbeddings, images)
        learned = learn_directions(texts, about, given) if texts else None
        return save_embeddings(at, images, learned, found, ())
    prompts = tuple(class_prompt(spec, c.name) for c in about.classes)
    if isinstance(spec, PrecomputedEncoder):
        from curette.tasks.methods.encoder.precomputed import has_texts

        prompts = prompts if has_texts(spec, prompts) else ()
    texts = tuple(dict.fromkeys([*proposed, *reworded, *prompts]))
    vectors = read_texts(at, texts, spec, untouched=prompts)
    return save_embeddings(at, images, vectors, found, prompts, spec.reference)


def _found(
    at: Workplace, candidates: CandidateSet, renamed: tuple[tuple[str, str], ...]
) -> dict[str, Float32[np.ndarray, " dim"]]:
    """Return text -> vector of what was found among images, a reviewer's words included."""
    if candidates.directions_ref is None:
        return {}
    made = at.store.load(TextEmbeddings, candidates.directions_ref)
    found = dict(zip(made.keys, np.asarray(made.vectors), strict=True))
    return found | {new: found[old] for new, old in renamed}


def save_embeddings(
    at: Workplace,
    images: Ref[ImageEmbeddings],
    texts: TextEmbeddings | None,
    found: dict[str, Float32[np.ndarray, " dim"]],
    prompts: tuple[str, ...],
    reference: str = "",
) -> Ref[StudyEmbeddings]:
    """Save texts' vectors and those that were found among images, beside the images'.

    Raises:
        StudyError: the encoder changed after the images were embedded.
    """
    encoder = at.store.load(ImageEmbeddings, images).encoder
    vectors = texts or TextEmbeddings((), np.zeros((0, encoder.dim), dtype=np.float32), encoder)
    if found:
        both = np.concatenate([vectors.vectors, np.stack(list(found.values()))])
        vectors = TextEmbeddings((*vectors.keys, *found), both, vectors.encoder)
    if vectors.encoder != encoder:
        raise StudyError(
            f"the encoder {encoder.name} changed after the images were embedded with it. Run the "
            "study again."
        )
    _leave_note(vectors)
    recipe = STAGE.recipe()
    study = StudyEmbeddings(
        encoder=encoder,
        images=images.digest,
        texts=at.store.save(vectors, recipe).digest,
        class_prompts=prompts,
        reference=reference,
    )
    return at.store.save(study, recipe)


def read_texts(
    at: Workplace,
    texts: tuple[str, ...],
    spec: ReadingEncoder | PrecomputedEncoder,
    untouched: tuple[str, ...] = (),
) -> TextEmbeddings:
    """Return one vector a text, which leads away from the reference if there is one.

    Args:
        at: where to work.
        texts: put into the encoder's template where they are encoded.
        spec: the encoder.
        untouched: texts whose vectors stay what they are.

    Raises:
        StudyError: a text has no vector, or that of the reference.
    """
    if isinstance(spec, PrecomputedEncoder):
        from curette.tasks.methods.encoder.precomputed import look_up_texts

        vectors = look_up_texts(spec, texts)
        stands_for_all = look_up_texts(spec, (spec.reference,)) if spec.reference else None
    else:
        vectors = _encode_texts(texts, spec.text_template, spec, at.machine, at.store)
        stands_for_all = (
            _encode_texts((spec.reference,), "{concept}", spec, at.machine, at.store)
            if spec.reference
            else None
        )
    if stands_for_all is None:
        return vectors
    left = less_reference(texts, vectors.vectors, stands_for_all.vectors[0], untouched=untouched)
    return TextEmbeddings(texts, left, vectors.encoder)


def _encode_texts(
    texts: tuple[str, ...],
    template: str,
    spec: ReadingEncoder,
    machine: Machine,
    store: ArtifactStore,
) -> TextEmbeddings:
    from curette.tasks.methods.encoder.encoder import load_encoder
    from curette.tasks.methods.encoder.text_vectors import embed_texts, sentences

    encoder = load_encoder(spec, machine)
    shelf = VectorShelf(store.root, of="texts")
    with progress("embedding texts", len(texts)) as advance:
        vectors = embed_texts(texts, template, encoder, shelf, machine, advance)
    too_long = encoder.filling(sentences(texts, template))
    if too_long:
        leave_table(
            "texts-cut-off",
            [{"text": text} for text in too_long],
            f"{len(too_long)} texts fill the encoder's whole context; their ends may be cut off.",
        )
    return vectors


def _leave_note(vectors: TextEmbeddings) -> None:
    made = vectors.encoder
    what = "texts" if made.reads_text else "directions, learned from columns,"
    leave_markdown(
        "text-embeddings",
        f"{len(vectors.keys)} {what} in the {made.dim} dimensions of {made.name} "
        f"(`{made.digest[:12]}`)",
        "Texts as vectors: how many, and by which encoder.",
    )
