"""What a concept dataset is put together from."""

from dataclasses import dataclass
from typing import Any

from curette.schemas.annotations import Annotations
from curette.schemas.appraisal import Round
from curette.schemas.artifact import Ref
from curette.schemas.candidates import CandidateSet
from curette.schemas.concepts import ConceptSet
from curette.schemas.embeddings import ImageEmbeddings, TextEmbeddings
from curette.schemas.images import ImageDataset
from curette.schemas.priors import Priors
from curette.schemas.screened import ScreenedSet
from curette.schemas.validation import ValidatedConceptDataset, ValidationReport


@dataclass(frozen=True)
class PublishInputs:
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
    reference: str
    """What statements are scored against; empty: nothing."""
    annotations: Annotations | None
    rounds: tuple[Round, ...]
    """What each round of proposing added; empty where there was but one."""
    report: ValidationReport
    screen_settings: dict[str, Any]
    """The recipe's settings of the screen, as its manifest has them."""
    select_settings: dict[str, Any]
