"""What a concept dataset is put together from."""

from dataclasses import dataclass
from typing import Any

from schemas.annotations import Annotations
from schemas.artifact import Ref
from schemas.candidates import CandidateSet
from schemas.concepts import ConceptSet
from schemas.embeddings import ImageEmbeddings, TextEmbeddings
from schemas.images import ImageDataset
from schemas.priors import Priors
from schemas.screened import ScreenedSet
from schemas.validation import ValidatedConceptDataset, ValidationReport


@dataclass(frozen=True)
class Parts:
    """Everything that passed the gate together, and the settings that made it."""

    validated_ref: Ref[ValidatedConceptDataset]
    validated: ValidatedConceptDataset
    dataset: ImageDataset
    candidates: CandidateSet
    screened: ScreenedSet
    concepts: ConceptSet
    priors: Priors
    images: ImageEmbeddings
    texts: TextEmbeddings
    class_prompts: tuple[str, ...]
    """Texts that stand for the classes; empty where the encoder has no vectors of them."""
    annotations: Annotations | None
    report: ValidationReport
    screen_settings: dict[str, Any]
    """The recipe's settings of the screen, as its manifest has them."""
    select_settings: dict[str, Any]
