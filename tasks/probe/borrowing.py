"""Directions of concepts that another study's labelled images teach (post-hoc CBM's transfer).

Concept vectors may come from another dataset than the one that is decided about (Yuksekgonul et
al., ICLR 2023, section 3). A direction is a concept only by the words that both studies have, so
it takes the place of a statement's vector where a column of the other study decides that very
statement; the other selected concepts keep their text. Axes that only the other study has are not
added: nothing here, neither priors nor a reviewer, knows what they say.

Only training images of the other study teach, and none that this study has, whatever its split: not
the same bytes, not a patient or lesion of the same name, nor anything of the group of one that is
left out. So scores of this study's own images, training images included, are by directions that
never saw them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from curette.schemas.images import Truth, is_column
from curette.schemas.probe import Borrowed, BorrowedConcept
from curette.schemas.screened import LabelledConcept
from curette.tasks.methods.solvers.grounding import (
    GroundingFunctions,
    concept_auc,
    random_direction_auc,
    train_grounding_functions,
)
from curette.tasks.methods.solvers.linear import LinearHead, global_standardisation
from curette.tasks.probe.bank import Bank
from curette.tasks.probe.draws import Images, NotTrainable
from curette.tasks.probe.grounding import (
    RANDOM,
    GroundedScores,
    deal_folds,
    defined,
    groundable,
    in_place_of_text,
)


@dataclass(frozen=True)
class Borrowing:
    """The directions of selected concepts that a bank decides, in the space of the vectors here."""

    images: Images
    places: Int[np.ndarray, " borrowed"]
    """Among the selected concepts; the others keep their text."""
    functions: LinearHead
    """Log-odds of each concept from raw vectors."""
    taught_by: Float64[Tensor, "image dim"]
    """Vectors of the other study's training images."""
    truth: Truth
    """Of these."""
    facts: Borrowed

    @classmethod
    def of(cls, images: Images) -> "Borrowing":
        """Learn a direction for every selected concept that the bank's images can teach.

        Raises:
            NotTrainable: there is none.
        """
        bank = images.bank
        if bank is None:
            raise NotTrainable("no other study is named that directions could be borrowed from")
        name = bank.name
        concepts = images.published.concepts
        places = np.array(
            [i for i, c in enumerate(concepts) if c.concept_id in bank.decided], dtype=np.int64
        )
        if not len(places):
            raise NotTrainable(
                f"no column of {name} decides a concept that is selected here. Name the statements "
                f"that its columns decide in the words of this study, under `dataset.attributes` "
                f"of {name}, and run it again."
            )
        labels = tuple(bank.decided[concepts[i].concept_id] for i in places)
        rows, left_out = bank.may_teach()
        groups = bank.images["group"].to_numpy()[rows]
        folds = deal_folds(groups, images.spec.seed)
        truth = bank.truth(rows, labels)
        enough = groundable(truth, folds) if len(rows) else np.zeros(0, dtype=np.int64)
        if not len(enough):
            gone = "".join(f"; {x.images:,} are left out: {x.reason}" for x in left_out)
            raise NotTrainable(
                f"too few of the training images of {name} may teach a concept that is selected "
                f"here: {len(rows):,} are left, and 10 of either answer are needed{gone}."
            )
        places, labels = places[enough], tuple(labels[i] for i in enough)
        truth = Truth(truth.present[:, enough], truth.known[:, enough])
        vectors = bank.seen_by(images.published, rows)
        scaling = global_standardisation(vectors)
        learned = train_grounding_functions(
            scaling.apply(vectors),
            *_tensors(truth),
            torch.from_numpy(folds),
            images.spec.residual_l2_values,
        )
        raw = scaling.fold(LinearHead(learned.weights, learned.bias))
        used = {label.column for label in labels}
        facts = Borrowed(
            study=name,
            images=len(rows),
            groups=len(np.unique(groups)),
            left_out=left_out,
            concepts=tuple(_describe(images, bank, places, labels, truth, vectors, learned, raw)),
            unused=tuple(
                sorted(
                    {
                        x.attribute
                        for x in bank.decided.values()
                        if is_column(x.source) and x.column not in used
                    }
                )
            ),
        )
        return cls(images, places, raw, vectors, truth, facts)

    @property
    def learned(self) -> GroundedScores:
        """Scores by borrowed directions, and by text where there is none."""
        return self._scores(self.functions)

    def random(self, seed: int) -> GroundedScores:
        """Scores by random directions in the same places.

        Images of the other study that show a concept are ahead in its direction, as they are in
        the learned one; nothing else is known of it.
        """
        generator = torch.Generator().manual_seed(self.images.spec.seed + 1 + seed)
        drawn = torch.randn(self.functions.weights.shape, generator=generator, dtype=torch.float64)
        areas = _auc(self.taught_by @ drawn.T, self.truth)
        directions = torch.where(areas[:, None] >= 0.5, drawn, -drawn)
        return self._scores(LinearHead(directions, directions.new_zeros(len(directions))))

    def _scores(self, functions: LinearHead) -> GroundedScores:
        scores = self.images.vectors @ functions.weights.T + functions.bias
        return in_place_of_text(self.images, self.places, functions, scores)


def _describe(
    images: Images,
    bank: Bank,
    places: Int[np.ndarray, " borrowed"],
    labels: tuple[LabelledConcept, ...],
    seen: Truth,
    vectors: Float64[Tensor, "image dim"],
    learned: GroundingFunctions,
    raw: LinearHead,
) -> Iterator[BorrowedConcept]:
    """Yield what validation images, there and here, say of each direction."""
    published, there = images.published, bank.rows("validation")
    other = bank.seen_by(published, there)
    truth_there = bank.truth(there, labels)
    areas = _auc(other @ raw.weights.T, truth_there)
    scaling = global_standardisation(vectors)
    luck = random_direction_auc(
        scaling.apply(vectors),
        *_tensors(seen),
        scaling.apply(other),
        *_tensors(truth_there),
        directions=RANDOM,
        seed=images.spec.seed,
    )
    here = published.concept_truth("validation")
    truth_here = Truth(here.present[:, places], here.known[:, places])
    areas_here = _auc(images.validation_vectors @ raw.weights.T, truth_here)
    text = torch.from_numpy(published.scores[published.rows("validation")][:, places])
    columns = zip(
        places,
        labels,
        learned.l2,
        areas,
        luck.auc.quantile(0.95, dim=0),
        luck.share_at_least(areas),
        areas_here,
        _auc(text, truth_here),
        strict=True,
    )
    for j, (place, label, l2, area, lucky, p, area_here, by_text) in enumerate(columns):
        shown = seen.present[seen.known[:, j], j]
        yield BorrowedConcept(
            concept_id=published.concepts[place].concept_id,
            text=published.concepts[place].text,
            attribute=label.attribute,
            denied=label.denied,
            labels_from=label.source,
            present=int(shown.sum()),
            absent=int((~shown).sum()),
            l2=l2,
            auroc_there=defined(area),
            random_95=defined(lucky),
            p_value=defined(p),
            auroc=defined(area_here),
            text_auroc=defined(by_text),
        )


def _auc(scores: Float[Tensor, "image concept"], truth: Truth) -> Float64[Tensor, " concept"]:
    return concept_auc(scores, *_tensors(truth))


def _tensors(truth: Truth) -> tuple[Bool[Tensor, "image concept"], Bool[Tensor, "image concept"]]:
    return torch.from_numpy(truth.present), torch.from_numpy(truth.known)
