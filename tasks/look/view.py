"""What there is to see of a study: its images, its statements, and how one scores the other.

Labels of test images and what is decided about them are shown as far as the evaluation has told
them, and are not here otherwise. A search by text looks at training and validation images alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float32, Int

from curette.schemas.candidates import Candidate
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.concepts import ConceptSet, Substitute
from curette.schemas.embeddings import TextEmbeddings
from curette.schemas.images import SPLITS, Split
from curette.schemas.probe import Head
from curette.schemas.screened import Drop, ScreenedSet
from curette.tasks.methods.explanation import Explainer

SHOWN = 12
"""Images at either end of a search, neighbours of an image."""
PER_PAGE = 60
_ALIKE = 6  # statements


@dataclass(frozen=True)
class Told:
    """What the evaluation says of a test image, by class keys."""

    label: str
    decided: str


@dataclass(frozen=True)
class ShownImage:
    """An image, with class keys where they may be told."""

    image_id: str
    split: Split
    label: str | None
    decided: str | None


@dataclass(frozen=True)
class Hit:
    """An image with its cosine to what was searched for."""

    image: ShownImage
    score: float
    same_group: bool = False
    """Whether it is of the same subject or lesion as the image that was searched by."""


@dataclass(frozen=True)
class Spread:
    """The quartiles of a statement's cosines with the training images of one class."""

    class_key: str
    """Empty: of all classes."""
    images: int
    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Scored:
    """How a statement, perhaps no concept yet, scores training and validation images."""

    most: tuple[Hit, ...]
    least: tuple[Hit, ...]
    spreads: tuple[Spread, ...]
    """All classes together first."""


@dataclass(frozen=True)
class Statement:
    """A statement of the screened set and what became of it."""

    candidate: Candidate
    drop: Drop | None
    place: int | None
    """Among the chosen ones, from 1."""
    unsure: str
    """What a gate was unsure of, where one was."""

    @property
    def concept_id(self) -> str:
        """Its id."""
        return self.candidate.concept_id


@dataclass(frozen=True)
class Sign:
    """A statement that an image shows, with their cosine."""

    statement: Statement
    score: float
    standing: float
    """Share of training images that score lower."""


@dataclass(frozen=True)
class Wall:
    """One page of the images that a filter lets through."""

    images: tuple[ShownImage, ...]
    total: int
    page: int
    """From 1."""
    pages: int


@dataclass(frozen=True)
class StudyView:
    """A finished study, ready to be looked at."""

    published: ConceptDataset
    screened: ScreenedSet
    chosen: ConceptSet
    texts: TextEmbeddings
    head: Head | None
    """The one that decisions are told of; None where none was trained."""
    told: Mapping[str, Told]
    """Test image id -> what the evaluation says; empty where it said nothing."""

    # --- images -----------------------------------------------------------------------------------

    @cached_property
    def rows(self) -> dict[str, int]:
        """Image id -> row."""
        return {str(i): row for row, i in enumerate(self.published.images["image_id"])}

    def image(self, row: int) -> ShownImage:
        """Return the image of a row."""
        return self._images[row]

    @cached_property
    def _images(self) -> list[ShownImage]:
        table, keys = self.published.images, self.published.class_keys
        decided = dict(zip(self._open_rows.tolist(), self._decided.tolist(), strict=False))
        images = []
        for row, (image_id, split, label) in enumerate(
            zip(table["image_id"], table["split"], table["label"], strict=True)
        ):
            if split == "test":
                told = self.told.get(str(image_id))
                images.append(
                    ShownImage(
                        str(image_id),
                        split,
                        told.label if told else None,
                        told.decided if told else None,
                    )
                )
            else:
                by_head = keys[decided[row]] if row in decided else None
                images.append(ShownImage(str(image_id), split, str(label), by_head))
        return images

    @cached_property
    def _open_rows(self) -> Int[np.ndarray, " image"]:
        """The rows of training and validation images."""
        return np.flatnonzero((self.published.images["split"] != "test").to_numpy())

    @cached_property
    def explainer(self) -> Explainer | None:
        """What takes decisions of the head apart."""
        return Explainer(self.published, self.head) if self.head else None

    @cached_property
    def _decided(self) -> Int[np.ndarray, " image"]:
        """What the head decides about training and validation images; empty without one."""
        if self.explainer is None:
            return np.zeros(0, np.int64)
        scores = self.explainer.scores(self.published.vectors[self._open_rows])
        return np.asarray(self.explainer.head.logits(scores).argmax(axis=1))

    def wall(
        self,
        split: str = "",
        label: str = "",
        decided: str = "",
        wrong: bool = False,
        page: int = 1,
    ) -> Wall:
        """Return one page of images; an empty filter lets all through, as do pages beyond the end.

        Args:
            split: of the images.
            label: class key; images whose label may not be told have none.
            decided: class key; the same.
            wrong: only images whose label is another than what is decided.
            page: from 1.
        """
        found = [
            x
            for x in self._images
            if split in ("", x.split)
            and label in ("", x.label)
            and decided in ("", x.decided)
            and not (wrong and (x.decided is None or x.label == x.decided))
        ]
        pages = max(1, -(-len(found) // PER_PAGE))
        page = min(max(page, 1), pages)
        return Wall(tuple(found[(page - 1) * PER_PAGE : page * PER_PAGE]), len(found), page, pages)

    def nearest(self, row: int) -> tuple[Hit, ...]:
        """Return the training images most like an image, itself left out."""
        train = self.published.rows("train")
        train = train[train != row]
        groups = self.published.images["group"].to_numpy()
        scores = self.published.vectors[train] @ self.published.vectors[row]
        order = np.argsort(-scores, kind="stable")[:SHOWN]
        return tuple(
            Hit(self.image(int(train[i])), float(scores[i]), groups[train[i]] == groups[row])
            for i in order.tolist()
        )

    def like(self, vector: Float32[np.ndarray, " dim"]) -> tuple[Hit, ...]:
        """Return the training and validation images most like an image that is none of these."""
        return self._most(self._open_rows, vector)

    def _most(
        self, rows: Int[np.ndarray, " image"], vector: Float32[np.ndarray, " dim"]
    ) -> tuple[Hit, ...]:
        scores = self.published.vectors[rows] @ vector
        order = np.argsort(-scores, kind="stable")[:SHOWN]
        return tuple(Hit(self.image(int(rows[i])), float(scores[i])) for i in order.tolist())

    def counts(self) -> dict[str, int]:
        """Return split -> images."""
        return {split: len(self.published.rows(split)) for split in SPLITS}

    # --- statements -------------------------------------------------------------------------------

    def score(self, vector: Float32[np.ndarray, " dim"]) -> Scored:
        """Return how a text's unit vector scores training and validation images."""
        rows = self._open_rows
        scores = self.published.vectors[rows] @ vector
        order = np.argsort(-scores, kind="stable")

        def hits(places: Int[np.ndarray, " image"]) -> tuple[Hit, ...]:
            return tuple(Hit(self.image(int(rows[i])), float(scores[i])) for i in places.tolist())

        shown = min(SHOWN, len(rows) // 2)
        return Scored(
            hits(order[:shown]),
            hits(order[::-1][:shown]),
            tuple(self._spreads(self.published.vectors[self.published.rows("train")] @ vector)),
        )

    def _spreads(self, scores: Float32[np.ndarray, " train"]) -> Iterator[Spread]:
        labels = self.published.labels("train")
        groups = [("", np.ones(len(labels), bool))]
        groups += [(key, labels == k) for k, key in enumerate(self.published.class_keys)]
        for key, members in groups:
            if members.any():
                low, median, high = np.quantile(scores[members], [0.25, 0.5, 0.75]).tolist()
                yield Spread(key, int(members.sum()), low, median, high)

    def signs(self, vector: Float32[np.ndarray, " dim"]) -> tuple[Sign, ...]:
        """Return the statements that an image shows most, beside what training images do.

        Cosines of different texts do not compare, so they are in order of how many standard
        deviations the image's lies above the mean of training images.

        Args:
            vector: of an image.
        """
        known, mean, deviation = self._usual
        scores = self.published.pool_vectors @ vector
        order = np.argsort(-(scores - mean) / deviation, kind="stable")
        found = [(j, self.statements.get(self.published.pool[j].concept_id)) for j in order]
        return tuple(
            Sign(statement, float(scores[j]), float((known[:, j] < scores[j]).mean()))
            for j, statement in found
            if statement is not None
        )[:SHOWN]

    @cached_property
    def _usual(
        self,
    ) -> tuple[
        Float32[np.ndarray, "train candidate"],
        Float32[np.ndarray, " candidate"],
        Float32[np.ndarray, " candidate"],
    ]:
        """The training images' cosines with the pool, their means and standard deviations."""
        known = self.published.vectors[self.published.rows("train")] @ self.published.pool_vectors.T
        return known, known.mean(axis=0), np.maximum(known.std(axis=0), 1e-6)

    @cached_property
    def statements(self) -> dict[str, Statement]:
        """Concept id -> statement: the chosen in their order, then the kept, then the dropped."""
        places = {key: place for place, key in enumerate(self.chosen.ids, start=1)}
        unsure = {u.concept_id: f"{u.gate}: {u.why}" for u in reversed(self.screened.unsure)}
        found = [(c, None) for c in self.screened.kept]
        found.sort(key=lambda x: places.get(x[0].concept_id, len(places) + 1))
        rows: list[tuple[Candidate, Drop | None]] = [
            *found,
            *((d.candidate, d) for d in self.screened.dropped),
        ]
        return {
            c.concept_id: Statement(c, drop, places.get(c.concept_id), unsure.get(c.concept_id, ""))
            for c, drop in rows
        }

    def substitutes(self, concept_id: str) -> Sequence[Substitute]:
        """Return what could stand in for a chosen statement."""
        return next(
            (e.substitutes for e in self.chosen.exchanges if e.concept_id == concept_id), ()
        )

    def vector_of(self, text: str) -> Float32[np.ndarray, " dim"] | None:
        """Return the vector of a statement that the study has embedded; None of any other."""
        row = self._text_rows.get(text)
        return None if row is None else np.asarray(self.texts.vectors[row])

    @cached_property
    def _text_rows(self) -> dict[str, int]:
        return {text: row for row, text in enumerate(self.texts.keys)}

    def alike(
        self, vector: Float32[np.ndarray, " dim"], but: str = ""
    ) -> tuple[tuple[Statement, float], ...]:
        """Return the statements whose vectors are most like one, with their cosines.

        Args:
            vector: of a text.
            but: id of a statement that is left out.
        """
        known = [
            (s, self._text_rows[s.candidate.text])
            for s in self.statements.values()
            if s.concept_id != but and s.candidate.text in self._text_rows
        ]
        if not known:
            return ()
        cosines = self.texts.vectors[[row for _, row in known]] @ vector
        order = np.argsort(-cosines, kind="stable")[:_ALIKE]
        return tuple((known[i][0], float(cosines[i])) for i in order.tolist())
