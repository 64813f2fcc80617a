"""The vectors of texts: from the shelf where they are, else encoded."""

import hashlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float32, Int

from curette.schemas.embeddings import TextEmbeddings
from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import ReadingEncoder
from curette.tasks.methods.encoder.batching import encode_in_batches
from curette.tasks.methods.encoder.encoder import DEFAULT_BATCH, ClipEncoder
from curette.tasks.methods.encoder.recall import Shelf, recall_or_encode
from curette.tasks.methods.encoder.reference import less_reference


def embed_texts(
    texts: Sequence[str],
    template: str,
    encoder: ClipEncoder,
    shelf: Shelf,
    machine: Machine,
    advance: Callable[[int], None],
) -> TextEmbeddings:
    """Return one vector a text, put into the template, by the bare text.

    A text is looked up on the shelf by its tokens, which is what the encoder sees of it. Texts are
    encoded in the order of their lengths, so that a batch has little padding to compute.

    Raises:
        StudyError: the encoder's vectors are not finite.
    """
    tokens = encoder.tokenize(sentences(texts, template))
    order = encoder.text_lengths(tokens).argsort(stable=True)

    def encode(rows: Int[np.ndarray, " row"]) -> Iterator[Float32[np.ndarray, "item dim"]]:
        return encode_in_batches(
            (tokens[order[row]] for row in rows),
            lambda row: row,
            encoder.stack,
            encoder.encode_texts,
            machine.batch_size or DEFAULT_BATCH[encoder.device],
            workers=1,
        )

    keys = np.array([_token_key(tokens[row], encoder.rounding) for row in order], dtype="S32")
    vectors = recall_or_encode(keys, encode, encoder.identity, shelf, advance)
    return TextEmbeddings(tuple(texts), vectors[order.argsort()], encoder.identity)


def read_statements(
    texts: Sequence[str], spec: ReadingEncoder, encoder: ClipEncoder
) -> Float32[np.ndarray, "text dim"]:
    """Return the vectors of statements as a study's concepts have theirs; none is kept."""
    vectors = encoder.encode_texts(encoder.tokenize(sentences(texts, spec.text_template)))
    if not spec.reference:
        return vectors
    (reference,) = encoder.encode_texts(encoder.tokenize([spec.reference]))
    return less_reference(texts, vectors, reference)


def _token_key(tokens: Int[torch.Tensor, " context"], rounding: str) -> bytes:
    """Return a text's key; beside a Ray cluster texts may be rounded otherwise than images."""
    return hashlib.sha256(f"tokens {rounding} ".encode() + tokens.numpy().tobytes()).digest()


def sentences(texts: Sequence[str], template: str) -> list[str]:
    """Return each text in its template, as it is encoded."""
    return [template.replace("{concept}", text) for text in texts]
