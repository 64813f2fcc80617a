"""Another study's labelled images, as far as they may teach this one's concepts."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int
from torch import Tensor

from curette.schemas.artifact import StudyError
from curette.schemas.attributes import AttributePhrases
from curette.schemas.candidates import concept_id
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.images import Truth
from curette.schemas.probe import LeftOut
from curette.schemas.screened import LabelledConcept


@dataclass(frozen=True)
class Bank:
    """Another study's images, and the statements that its columns decide."""

    published: ConceptDataset
    decided: Mapping[str, LabelledConcept]
    """Concept id -> the column; of statements that nobody proposed there, too."""

    @classmethod
    def of(cls, published: ConceptDataset, phrases: Mapping[str, AttributePhrases]) -> "Bank":
        """Take what a study published, and the statements that its columns are said to decide.

        Raises:
            StudyError: no column decides any statement.
        """
        decided = {x.concept_id: x for x in published.facts.labelled}
        for column, said in phrases.items():
            for denied, texts in ((False, said.claimed_by), (True, said.denied_by)):
                for text in texts:
                    found = LabelledConcept(
                        concept_id=concept_id(text), attribute=column, denied=denied
                    )
                    decided.setdefault(found.concept_id, found)
        decided = {i: x for i, x in decided.items() if x.column in published.images}
        if not decided:
            name = published.facts.name
            raise StudyError(
                f"probe.grounding.from: no image of the study {name} says which concepts it shows, "
                "so there is no direction to learn. Name true/false columns, and the statements "
                f"that claim them, under `dataset.attributes` of {name}, and run it again"
            )
        return cls(published, decided)

    def truth(self, rows: Int[np.ndarray, " row"], labels: tuple[LabelledConcept, ...]) -> Truth:
        """Return whether its images show what these labels tell, as far as is known."""
        columns = [Truth.of_column(self.published.images[x.column].iloc[rows]) for x in labels]
        known = np.stack([c.known for c in columns], axis=1)
        turned = np.array([x.denied for x in labels])
        return Truth((np.stack([c.present for c in columns], axis=1) != turned) & known, known)


def check_encoders(published: ConceptDataset, other: ConceptDataset) -> None:
    """Refuse another study whose vectors say something else than those of this one.

    Raises:
        StudyError: its encoder is another, or it is this study.
    """
    own, theirs = published.facts.encoder, other.facts.encoder
    if published.facts.name == other.facts.name:
        raise StudyError(
            f"probe.grounding.from: {other.facts.name} is this study itself, whose own columns "
            "the head `grounded` learns from; name another study"
        )
    if (own.dim, own.digest) != (theirs.dim, theirs.digest):
        raise StudyError(
            f"probe.grounding.from: the images of {other.facts.name} were embedded by "
            f"{theirs.name} ({theirs.dim} numbers, {theirs.digest[:12]}), those of this study by "
            f"{own.name} ({own.dim} numbers, {own.digest[:12]}), and a direction means something "
            "in one encoder alone. Give both studies the same `encoder` (`precomputed` vectors: "
            "one file with both studies' images), and run both again"
        )


def may_teach(
    other: ConceptDataset, published: ConceptDataset
) -> tuple[Int[np.ndarray, " row"], tuple[LeftOut, ...]]:
    """Return the training images of another study that may teach this one, and why others not."""
    theirs, ours = other.images, published.images
    same = theirs["sha256"].isin(ours["sha256"]).to_numpy()
    tested = theirs["sha256"].isin(ours["sha256"][ours["split"] == "test"]).to_numpy()
    person = np.zeros(len(theirs), dtype=bool)
    if not (other.facts.synthetic_images and published.facts.synthetic_images):
        for column in ("subject", "lesion"):
            if column in theirs and column in ours:
                person |= theirs[column].isin(ours[column].dropna()).to_numpy()
    group = theirs["group"].astype(str).to_numpy()
    with_them = np.isin(group, group[same | person])
    train = (theirs["split"] == "train").to_numpy()
    told = (
        ("this study has the same image, and tests on it", same & tested),
        ("this study has the same image", same & ~tested),
        ("this study has a patient or lesion of that name", person & ~same),
        ("of the patient or lesion of an image that is left out", with_them & ~person & ~same),
    )
    left_out = tuple(
        LeftOut(reason=reason, images=count)
        for reason, which in told
        if (count := int((which & train).sum()))
    )
    return np.flatnonzero(train & ~with_them), left_out


def vectors_of(
    published: ConceptDataset, other: ConceptDataset, rows: Int[np.ndarray, " row"]
) -> Float64[Tensor, "row dim"]:
    """Return another study's published vectors as heads of this dataset know such vectors."""
    return torch.from_numpy(published.seen(np.asarray(other.vectors[rows]))).double()
