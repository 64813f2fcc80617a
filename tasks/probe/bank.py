"""Another study's labelled images, as far as they may teach this one's concepts."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32, Float64, Int
from torch import Tensor

from curette.schemas.annotations import Annotations
from curette.schemas.artifact import StudyError
from curette.schemas.candidates import concept_id
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.embeddings import EncoderIdentity, ImageEmbeddings
from curette.schemas.images import ImageDataset, Split, Truth
from curette.schemas.probe import LeftOut
from curette.schemas.screened import LabelledConcept


@dataclass(frozen=True)
class Bank:
    """Another study's images, and the statements that its columns decide."""

    name: str
    """Of the study."""
    images: pd.DataFrame
    """As they were taken in, annotations beside columns."""
    vectors: Float32[np.ndarray, "image dim"]
    encoder: EncoderIdentity
    decided: Mapping[str, LabelledConcept]
    """Concept id -> what decides it; of statements that nobody proposed there, too."""
    ours: pd.DataFrame
    """The images of the study that borrows, as they were taken in."""
    drawn: bool
    """Whether the images of both were drawn by a program, so that subjects are nobody."""

    @classmethod
    def of(
        cls,
        name: str,
        dataset: ImageDataset,
        vectors: ImageEmbeddings,
        annotations: Annotations | None,
        ours: ImageDataset,
    ) -> "Bank":
        """Take a study's images, and the statements that its columns are said to decide.

        Raises:
            StudyError: nothing decides any statement.
        """
        decided: dict[str, LabelledConcept] = {}
        for column, said in dataset.attribute_phrases.items():
            for denied, texts in ((False, said.claimed_by), (True, said.denied_by)):
                for text in texts:
                    found = LabelledConcept(
                        concept_id=concept_id(text), attribute=column, denied=denied
                    )
                    decided.setdefault(found.concept_id, found)
        images = dataset.images
        if annotations:
            images = images.join(annotations.columns(images["image_id"]))
            decided = {x.concept_id: x for x in annotations.labelled} | decided
        if not decided:
            raise StudyError(
                f"probe.grounding.from: no image of the study {name} says which concepts it shows, "
                "so there is no direction to learn. Name true/false columns, and the statements "
                f"that claim them, under `dataset.attributes` of {name}, and run it again"
            )
        return cls(
            name,
            images,
            vectors.take(list(images["image_id"])),
            vectors.encoder,
            decided,
            ours.images,
            dataset.synthetic and ours.synthetic,
        )

    def rows(self, split: Split) -> Int[np.ndarray, " row"]:
        """Return the row numbers of one split."""
        return np.flatnonzero((self.images["split"] == split).to_numpy())

    def truth(self, rows: Int[np.ndarray, " row"], labels: tuple[LabelledConcept, ...]) -> Truth:
        """Return whether its images show what these labels tell, as far as is known."""
        columns = [Truth.of_column(self.images[x.column].iloc[rows]) for x in labels]
        known = np.stack([c.known for c in columns], axis=1)
        turned = np.array([x.denied for x in labels])
        return Truth((np.stack([c.present for c in columns], axis=1) != turned) & known, known)

    def seen_by(
        self, published: ConceptDataset, rows: Int[np.ndarray, " row"]
    ) -> Float64[Tensor, "row dim"]:
        """Return vectors of its images as heads of a dataset know such vectors."""
        return torch.from_numpy(published.seen(self.vectors[rows])).double()

    def may_teach(self) -> tuple[Int[np.ndarray, " row"], tuple[LeftOut, ...]]:
        """Return the training images that may teach the other study, and why others may not."""
        theirs, ours = self.images, self.ours
        same = theirs["sha256"].isin(ours["sha256"]).to_numpy()
        tested = theirs["sha256"].isin(ours["sha256"][ours["split"] == "test"]).to_numpy()
        person = np.zeros(len(theirs), dtype=bool)
        for column in () if self.drawn else ("subject", "lesion"):
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


def check_encoder(published: ConceptDataset, bank: Bank) -> None:
    """Refuse another study whose vectors say something else than those of this one.

    Raises:
        StudyError: its encoder is another, or it is this study.
    """
    own, theirs = published.facts.encoder, bank.encoder
    if published.facts.name == bank.name:
        raise StudyError(
            f"probe.grounding.from: {bank.name} is this study itself, whose own columns "
            "the head `grounded` learns from; name another study"
        )
    if (own.dim, own.digest) != (theirs.dim, theirs.digest):
        raise StudyError(
            f"probe.grounding.from: the images of {bank.name} were embedded by "
            f"{theirs.name} ({theirs.dim} numbers, {theirs.digest[:12]}), those of this study by "
            f"{own.name} ({own.dim} numbers, {own.digest[:12]}), and a direction means something "
            "in one encoder alone. Give both studies the same `encoder` (`precomputed` vectors: "
            "one file with both studies' images), and run both again"
        )
