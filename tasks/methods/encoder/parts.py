"""What an encoder is made of, whatever the layout of its files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from PIL import Image

from curette.schemas.artifact import StudyError


class Source(NamedTuple):
    """Where a model's files are, and what they are called."""

    kind: str
    """Of the settings."""
    name: str
    """For people."""
    at: str
    """What the layout finds it by."""
    tag: str | None = None
    folder: Path | None = None
    """The local one, whose files may be others by the next study."""


class Parts(NamedTuple):
    """A loaded model and what its images and texts go through before it."""

    model: torch.nn.Module
    """With `encode_image` and `encode_text`, in float32; `visual.preprocess_cfg` tells the size of
    its images and how they become square."""
    preprocess: Callable[[Image.Image], torch.Tensor]
    tokenizer: Callable[[list[str]], torch.Tensor]
    dim: int
    """That its files tell; vectors of another width are refused."""
    about: dict[str, Any]
    """What decides its vectors besides its weights."""
    demo: bool = False
    """It knows only the demo."""


_TOKENIZERS = ("tokenizer.json", "vocab.json", "vocab.txt", "spiece.model")


def check_tokenizer(folder: Path) -> None:
    """Refuse a folder without a tokenizer, for which transformers would make one of no words.

    Raises:
        StudyError: it has none of the files in which there may be one.
    """
    if not any((folder / file).is_file() for file in _TOKENIZERS):
        raise StudyError(
            f"{folder} has no tokenizer: put tokenizer.json, or the vocabulary that its model was "
            f"published with ({', '.join(_TOKENIZERS[1:])}), beside its weights."
        )


@runtime_checkable
class Layout(Protocol):
    """A module that loads encoders of one layout."""

    def find_source(self, spec: Any) -> Source:
        """Return where the encoder that a study names is, after checking it.

        Raises:
            StudyError: there is no such model.
        """

    def find_weights(self, spec: Any) -> Path | None:
        """Return where its weights lie here; None where they would have to be fetched.

        Nothing is loaded, and nobody is asked.

        Raises:
            StudyError: there is no such model, or a local folder holds no weights.
        """

    def load_parts(self, source: Source) -> Parts:
        """Load it onto the CPU.

        Raises:
            Exception: whatever the layout's library says of files that are not ours.
        """

    def why_not_loaded(self, source: Source, error: Exception) -> str:
        """Return in a person's words what such an exception means, and what to do."""
