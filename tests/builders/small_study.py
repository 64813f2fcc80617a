"""A concept dataset by hand, small enough to reason about: 60 images, 3 classes, 6 concepts."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from curette.schemas.artifact import Artifact, Recipe, Ref
from curette.schemas.candidates import Candidate, CandidateSet, FileOrigin, LlmOrigin, concept_id
from curette.schemas.concepts import ClassSelection, ConceptSet, Pick
from curette.schemas.embeddings import (
    EncoderIdentity,
    ImageEmbeddings,
    StudyEmbeddings,
    TextEmbeddings,
)
from curette.schemas.images import ClassLabel, ImageDataset, TestLabels
from curette.schemas.index import (
    ConceptIndex,
    DuplicateCluster,
    Duplicates,
    LookAlike,
    VectorIndexFacts,
    vectors_sha256,
)
from curette.schemas.priors import Prior, Priors
from curette.schemas.screened import Drop, ScreenedSet
from curette.schemas.settings.screen import ScreenSpec
from curette.schemas.settings.select import SelectSpec, Size
from curette.storage.store import ArtifactStore
from tests.builders.images import image_dataset
from tests.builders.screened import as_selected

CLASSES = (
    ClassLabel(key="nv", name="melanocytic nevus", synonyms=("mole",)),
    ClassLabel(key="mel", name="melanoma"),
    ClassLabel(key="bcc", name="basal cell carcinoma", synonyms=("BCC",)),
)
SPLIT_OF = ("train",) * 12 + ("validation",) * 4 + ("test",) * 4
SELECTED = {
    "brown pigment network": "nv",
    "even round outline": "nv",
    "blue-white veil": "mel",
    "jagged border": "mel",
    "branching red vessels": "bcc",
    "shiny pearly surface": "bcc",
}
NOT_SELECTED = "crusted centre"
DIM = 16
ENCODER = EncoderIdentity(name="hand-made", digest="e" * 64, dim=DIM, demo=False)


@dataclass
class SmallStudy:
    """Everything that `validate` looks at; a test replaces or spoils one part."""

    dataset: ImageDataset
    candidates: CandidateSet
    screened: ScreenedSet
    concepts: ConceptSet
    priors: Priors
    images: ImageEmbeddings
    texts: TextEmbeddings
    index: ConceptIndex

    def parts(
        self,
    ) -> tuple[
        ImageDataset, ScreenedSet, ConceptSet, ImageEmbeddings, TextEmbeddings, ConceptIndex
    ]:
        """The arguments of `build_suites` without its spec."""
        return (
            self.dataset,
            self.screened,
            self.concepts,
            self.images,
            self.texts,
            self.index,
        )

    def save(
        self, store: ArtifactStore
    ) -> tuple[Ref[Any], Ref[Any], Ref[Any], Ref[Any], Ref[Any], Ref[Any], Ref[Any]]:
        """Save all; return the references that `validate_concept_dataset` takes, in its order."""

        def keep(artifact: Artifact, stage: str, spec: Any = None) -> Ref[Any]:
            settings = spec.model_dump(mode="json") if spec else {}
            return store.save(artifact, Recipe(stage=stage, code="0" * 64, spec=settings))

        embeddings = StudyEmbeddings(
            encoder=ENCODER,
            images=keep(self.images, "embed").digest,
            texts=keep(self.texts, "embed").digest,
        )
        return (
            keep(self.dataset, "ingest"),
            keep(self.candidates, "propose"),
            keep(self.screened, "screen", ScreenSpec()),
            keep(self.concepts, "select", SelectSpec(size=Size(per_class=2))),
            keep(self.priors, "priors"),
            keep(embeddings, "embed"),
            keep(self.index, "index"),
        )


def small_study() -> SmallStudy:
    """Return a study in which nothing is wrong."""
    generator = np.random.default_rng(0)
    images = _images()
    kept = (*(_candidate(t, k) for t, k in SELECTED.items()), _candidate(NOT_SELECTED, "bcc"))
    dropped = (
        Drop(
            candidate=_candidate("looks like melanoma", "mel"),
            gate="class_leak",
            reason="it names the class 'melanoma'",
            evidence={"words": "melanoma"},
        ),
        Drop(
            candidate=_candidate("itches | <b>often</b>", "nv"),
            gate="visual",
            reason="itching cannot be seen",
        ),
    )
    keys = tuple(label.key for label in CLASSES)
    image_vectors = unit_vectors(generator, len(images))
    candidates = (*kept, *(d.candidate for d in dropped))
    concepts = ConceptSet(
        method="labo",
        concepts=tuple(as_selected(_candidate(text, key), 0.5) for text, key in SELECTED.items()),
        selections=tuple(_selection(label.key) for label in CLASSES),
    )
    texts = [c.text for c in candidates]
    return SmallStudy(
        dataset=image_dataset(
            images,
            classes=CLASSES,
            source="drawn by hand",
            class_counts={
                label.key: {"train": 12, "validation": 4, "test": 4} for label in CLASSES
            },
            test_labels=Ref(TestLabels.kind, "f" * 20),
        ),
        candidates=CandidateSet(
            candidates=candidates, source="answers recorded earlier", recorded=True
        ),
        screened=ScreenedSet(kept=kept, dropped=dropped, gates=ScreenSpec().names),
        concepts=concepts,
        priors=Priors(
            class_keys=keys,
            concept_ids=tuple(c.concept_id for c in kept),
            source="the classes each was proposed for",
            asked="links",
            priors=link_priors(kept, keys),
        ),
        images=ImageEmbeddings(
            keys=tuple(images["image_id"]),
            vectors=image_vectors,
            encoder=ENCODER,
        ),
        texts=TextEmbeddings(
            keys=tuple(texts), vectors=unit_vectors(generator, len(texts)), encoder=ENCODER
        ),
        index=ConceptIndex(
            image_ids=tuple(images["image_id"]),
            concept_ids=concepts.ids,
            images=np.zeros(4, dtype=np.uint8),
            concepts=np.zeros(4, dtype=np.uint8),
            top_images={},
            facts=index_facts(image_vectors),
            duplicates=Duplicates(),
        ),
    )


def look_alikes(first: str, second: str) -> Duplicates:
    """Two images that the index found almost the same in train and test."""
    twin = LookAlike(image_id=second, split="test", cosine=0.9991, same_group=False)
    cluster = DuplicateCluster(image_id=first, split="train", look_alikes=(twin,))
    return Duplicates(clusters=(cluster,), clusters_found=1, images_found=1, pairs_found=1)


def index_facts(vectors: np.ndarray) -> VectorIndexFacts:
    """What an exact index of these vectors would say of itself."""
    count, dim = vectors.shape
    return VectorIndexFacts(
        count=count, dim=dim, vectors_sha256=vectors_sha256(vectors), kind="flat"
    )


def unit_vectors(generator: np.random.Generator, rows: int) -> np.ndarray:
    """Return random unit vectors, none of them close to another in 16 dimensions."""
    vectors = generator.normal(size=(rows, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _images() -> pd.DataFrame:
    rows = []
    for c, label in enumerate(CLASSES):
        for i, split in enumerate(SPLIT_OF):
            number = 20 * c + i
            rows.append(
                {
                    "image_id": f"img{number:02d}",
                    "sha256": hashlib.sha256(str(number).encode()).hexdigest(),
                    "location": f"somewhere/private/{number}.png",
                    "split": split,
                    "label": None if split == "test" else label.key,
                    "subject": f"patient{number // 2}",
                    "lesion": None,
                    "group": f"img{number // 2 * 2:02d}",
                    "mask_location": "",
                    "meta.age": float(number) if number % 3 else None,
                    "attribute.pink": label.key == "bcc",
                }
            )
    return pd.DataFrame(rows)


def _candidate(text: str, key: str) -> Candidate:
    origin = (
        FileOrigin(file="list.txt", line=3)
        if text == NOT_SELECTED
        else LlmOrigin(
            model="some-model",
            prompt="colour",
            prompt_sha256="a" * 64,
            request_sha256="b" * 64,
            recorded=True,
        )
    )
    return Candidate(text=text, classes=(key,), origins=(origin,))


def link_priors(pool: Sequence[Candidate], class_keys: Sequence[str]) -> tuple[Prior, ...]:
    """Return priors that say what the classes of the candidates say."""
    return tuple(
        Prior(
            concept_id=c.concept_id,
            class_key=key,
            answer="speaks for" if key in c.classes else "neutral",
        )
        for c in pool
        for key in class_keys
    )


def _selection(key: str) -> ClassSelection:
    picks = tuple(
        Pick(concept_id=concept_id(text), gain=gain)
        for text, gain in zip([t for t, k in SELECTED.items() if k == key], (0.6, 0.3), strict=True)
    )
    return ClassSelection(class_key=key, pool=3, picks=picks, value=0.9, upper_bound=1.0)
