"""Which statements the duplicate gates drop on real data, for a person to read and judge.

Run `python -m tests.benchmarks.bench_near_duplicates [FOLDER]`; FOLDER is a sentence encoder in the
layout of BERT. PH2's own statements are screened with both encoders' vectors; of LaBo's HAM10000
candidates, of which no real encoder has vectors here, 100 drops are drawn at random (rule A: every
drop alike likely) and 100 pairs (rule B: a family each, two of its members). Nothing is stored.
"""

import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from curette.schemas.candidates import Candidate, CandidateSet, FileOrigin, concept_id
from curette.schemas.embeddings import EncoderIdentity, TextEmbeddings
from curette.schemas.images import ClassLabel
from curette.schemas.screened import ScreenedSet
from curette.schemas.settings.screen import ScreenSpec
from curette.tasks.screen.gate import Circumstances
from curette.tasks.screen.gates.exact_duplicate import ExactDuplicate
from curette.tasks.screen.gates.near_duplicate import NearDuplicate
from curette.tasks.screen.screening import screen
from curette.tasks.screen.training import TrainingImages

DATA = Path(__file__).parents[3] / "shared" / "data"
PAIRS = 100


def duplicates_of(
    texts: Sequence[str],
    vectors: Float32[np.ndarray, "text dim"],
    images: Float32[np.ndarray, "image dim"] | None,
    sentences: Path | None,
) -> ScreenedSet:
    """Send texts through the two duplicate gates alone."""
    proposed = CandidateSet(
        candidates=tuple(
            Candidate(text=t, classes=("a",), origins=(FileOrigin(file="f", line=line + 1),))
            for line, t in enumerate(texts)
        ),
        source="benchmark",
    )
    encoder = EncoderIdentity(name="", digest="0", dim=vectors.shape[1], demo=False)
    known = Circumstances(
        (ClassLabel(key="a", name="unnamed"),),
        TextEmbeddings(tuple(texts), vectors, encoder),
        None if images is None else TrainingImages(images, {}, 1),
    )
    spec = ScreenSpec(gates=(ExactDuplicate(), NearDuplicate(sentences=sentences)))
    return screen(proposed, known, spec)


def _unit(rows: Float32[np.ndarray, "row dim"]) -> Float32[np.ndarray, "row dim"]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def ph2(file: Path, sentences: Path | None) -> None:
    """Print every drop among PH2's statements, and how many this encoder cannot tell apart."""
    content = np.load(file, allow_pickle=False)
    kinds = [str(key).partition(":")[0] for key in content["text_keys"]]
    rows = [i for i, kind in enumerate(kinds) if kind in ("concept", "detailed")]
    texts = [str(content["text_prompts"][i]) for i in rows]
    vectors, images = content["text_embeddings"][rows], content["image_embeddings"]
    screened = duplicates_of(texts, _unit(vectors), _unit(images), sentences)
    alike = sum(len(flag.concept_ids) - 1 for flag in screened.flags if "stars" in flag.evidence)
    print(f"{file.stem}: {len(texts)} statements, {len(screened.dropped)} drops; {alike} others")
    print("are told and kept since the scores cannot tell them apart")
    for drop in screened.dropped:
        print(f"  {drop.candidate.text} | {drop.reason}")


def labo(file: Path) -> None:
    """Print the pairs of both rules of drawing."""
    listed = json.loads(file.read_text(encoding="utf-8"))
    texts = [c for found in listed.values() for c in found]
    texts = list({concept_id(text): text for text in texts}.values())
    vectors = _unit(np.random.default_rng(0).normal(size=(len(texts), 64)).astype(np.float32))
    screened = duplicates_of(texts, vectors, None, None)
    said = {c.concept_id: c.text for c in screened.kept}
    said |= {d.candidate.concept_id: d.candidate.text for d in screened.dropped}
    families = [[said[key] for key in (f.concept_id, *f.members)] for f in screened.families]
    drops = [(family[0], text) for family in families for text in family[1:]]
    drawn = random.Random(2026)
    print(f"{len(texts)} candidates, {len(drops)} drops, {len(families)} families")
    for one, other in drawn.sample(drops, PAIRS):
        print(f"  A: {one} | {other}")
    for family in drawn.sample(families, PAIRS):
        print("  B: " + " | ".join(drawn.sample(family, 2)))


if __name__ == "__main__":
    if not DATA.is_dir():
        sys.exit(f"the data are not at {DATA}")
    given = Path(sys.argv[1]) if sys.argv[1:] else None
    for npz in sorted((DATA / "ph2-clip").glob("*.npz")):
        ph2(npz, given)
    labo(DATA / "ham10000" / "labo" / "class2concepts.json")
