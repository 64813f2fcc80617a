"""How fast the few-shot protocol is on PH2 beside a loop of scikit-learn, and what it finds.

Run `python -m tests.benchmarks.bench_few_shots`: 6 numbers of shots, 20 seeds and all heads, on the
vectors of two encoders, from the drawing to the last interval. PH2 is split 50/20/30 by class;
every image is a patient of its own. Concepts without a vector in an encoder's file are left out.

scikit-learn has the tuned linear probe, the nearest mean and the shrinkage discriminant, but none
of the heads with a prior. It trains them one by one on one draw of each number, whose seconds are
multiplied by twenty, and on the one of all images, at its own tolerance, which is looser than ours.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.neighbors import NearestCentroid

from curette.schemas.candidates import Candidate, FileOrigin
from curette.schemas.concept_dataset import ConceptDataset, ConceptDatasetFacts
from curette.schemas.draws import Draw, Draws
from curette.schemas.embeddings import EncoderIdentity
from curette.schemas.heads import HeadKind
from curette.schemas.images import SPLITS, ClassLabel
from curette.schemas.priors import Prior
from curette.schemas.questions.few_shots import FewShotCurves
from curette.schemas.settings.draw import FewShotSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.schemas.settings.select import SelectSpec, Size
from curette.tasks.draw.few_shots import draw as draw_few_shots
from curette.tasks.evaluate.questions.few_shots import few_shot_curves
from curette.tasks.methods.selection.choosing import choose_concepts
from curette.tasks.methods.solvers.head_batch import SHRINKAGES
from curette.tasks.methods.splits import deal_groups
from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap
from curette.tasks.probe.protocols import train_on_draws
from tests.benchmarks.measuring import Target, print_rows, timed

DATA = Path(__file__).parents[3] / "shared" / "data" / "ph2-clip"
KEYS, NAMES = ("nevus", "melanoma"), ("Nevus", "Melanoma")
SELECT, SPEC = SelectSpec(size=Size(per_class=8)), FewShotSpec(seeds=20)
RESAMPLES, EVERY = 2000, 20
PROTOCOL = Target("<=", 60)
CLOSED_FORM: tuple[HeadKind, ...] = ("nearest_mean", "shrinkage_discriminant")


class Row(NamedTuple):
    """One comparison."""

    name: str
    ours_s: float
    scikit_learn_s: float
    ratio: float  # scikit_learn_s / ours_s
    target: str = ""
    met: bool | None = None


def main() -> list[Row]:
    """Print curves, and return some rows for each encoder; none where PH2 is absent."""
    if not DATA.is_dir():
        print("PH2 is not here: ../shared/data/ph2-clip is absent")
    return [row for file in sorted(DATA.glob("*.npz")) for row in measure(file)]


def measure(file: Path) -> list[Row]:
    """Run the protocol on the vectors of one encoder, then the heads that scikit-learn has."""
    published, labels = ph2(file)
    seconds, curves = timed(lambda: run_protocol(published, labels))
    print_curves(file.stem, curves)
    draws = draw_few_shots(published, SELECT, SPEC)
    return [
        Row(
            f"{file.stem}, whole protocol",
            seconds,
            np.nan,
            np.nan,
            f"{PROTOCOL} s",
            PROTOCOL.is_met_by(seconds),
        ),
        _compare(f"{file.stem}, tuned linear probe", published, draws, ()),
        _compare(f"{file.stem}, and its closed-form rivals", published, draws, CLOSED_FORM),
    ]


def run_protocol(published: ConceptDataset, labels: np.ndarray) -> FewShotCurves:
    """Draw, train and judge."""
    draws = draw_few_shots(published, SELECT, SPEC)
    heads = train_on_draws(published, draws, ProbeSpec())
    test = published.rows("test")
    bootstrap = ClusterBootstrap.of(test, RESAMPLES, seed=0)
    return few_shot_curves(heads, published.vectors[test], labels[test], bootstrap, 0.95)


def print_curves(name: str, curves: FewShotCurves) -> None:
    """Print points and leads in percent, a line for each head."""
    leads = [lead for lead in curves.leads if lead.baseline == "linear_probe"]
    for what, rows in (("balanced accuracy", curves.points), ("lead", leads)):
        print(f"{name}: {what}, {curves.groups} test images, {curves.resamples} resamples")
        for head in dict.fromkeys(r.head for r in rows):
            cells = [
                f"{100 * r.value:5.1f} [{100 * r.low:5.1f}, {100 * r.high:5.1f}]"
                for r in rows
                if r.head == head
            ]
            print(f"{head:24}", "  ".join(cells))


def _compare(
    name: str,
    published: ConceptDataset,
    draws: Draws,
    heads: tuple[HeadKind, ...],
) -> Row:
    """Train the linear probe and these heads with both."""
    asked = draws.model_copy(update={"heads": heads})
    ours, _ = timed(lambda: train_on_draws(published, asked, ProbeSpec()))
    few, _ = timed(lambda: _scikit_learn_loop(published, draws.draws[:-1][::EVERY], heads))
    last, _ = timed(lambda: _scikit_learn_loop(published, draws.draws[-1:], heads))
    theirs = EVERY * few + last
    return Row(name, ours, theirs, theirs / ours)


def halves(labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return 50/20/30 splits by class."""
    dealt = deal_groups(np.arange(len(labels)), labels, np.array([0.5, 0.2, 0.3]), seed=seed)
    return np.array(SPLITS)[dealt]


def ph2(
    file: Path,
    split: Callable[[np.ndarray], np.ndarray] = halves,
    select: SelectSpec = SELECT,
) -> tuple[ConceptDataset, np.ndarray]:
    """Return PH2 as a concept dataset of one encoder's vectors, and all labels.

    Args:
        file: the vectors.
        split: from labels to the name of each image's split.
        select: how many of the file's statements.
    """
    arrays = np.load(file)
    texts = dict(zip(arrays["text_prompts"], arrays["text_embeddings"], strict=True))
    pool, pool_vectors, vectors, labels = ph2_statements(file)
    part = split(labels)
    train = part == "train"
    chosen = choose_concepts(pool, pool_vectors, vectors[train], labels[train], KEYS, select)
    place = {c.concept_id: i for i, c in enumerate(pool)}
    selected = [place[c] for c in chosen.ids]
    keys = np.array(KEYS, dtype=object)[labels]
    published = ConceptDataset(
        facts=ConceptDatasetFacts(
            name=file.stem,
            classes=tuple(ClassLabel(key=k, name=n) for k, n in zip(KEYS, NAMES, strict=True)),
            class_counts={},
            encoder=EncoderIdentity(
                name=file.stem, digest="0" * 64, dim=vectors.shape[1], demo=False
            ),
            images_from="PH2",
            concepts_from="class2concepts.json",
            priors_from="class2concepts.json",
            synthetic_images=False,
            recorded_answers=False,
            validated="0" * 20,
            test_labels="0" * 20,
        ),
        images=pd.DataFrame(
            {
                "image_id": arrays["image_ids"].astype(str),
                "split": part,
                "label": np.where(part == "test", None, keys),
                "group": arrays["image_ids"].astype(str),
            }
        ),
        vectors=vectors,
        scores=vectors @ pool_vectors[selected].T,
        concepts=chosen.concepts,
        pool=pool,
        pool_vectors=pool_vectors,
        class_vectors=_unit(np.stack([texts[f"This is dermatoscopy of {k}"] for k in KEYS])),
        priors=tuple(
            Prior(
                concept_id=c.concept_id,
                class_key=key,
                answer="speaks for" if key in c.classes else "neutral",
            )
            for c in pool
            for key in KEYS
        ),
        dropped=(),
        card="",
    )
    return published, labels


def ph2_statements(
    file: Path,
) -> tuple[tuple[Candidate, ...], np.ndarray, np.ndarray, np.ndarray]:
    """Return the linked statements of an encoder's file, their vectors, and images with labels."""
    arrays = np.load(file)
    texts = dict(zip(arrays["text_prompts"], arrays["text_embeddings"], strict=True))
    links = json.loads((file.parent / "class2concepts.json").read_text())
    classes: dict[str, list[str]] = {}
    for key in KEYS:
        for text in (t for t in links[key] if t in texts):
            classes.setdefault(text, []).append(key)
    pool = tuple(
        Candidate(
            text=text,
            classes=tuple(keys),
            origins=(FileOrigin(file="class2concepts.json", line=1),),
        )
        for text, keys in classes.items()
    )
    labels = arrays["labels"].astype(np.int64)
    pool_vectors = _unit(np.stack([texts[c.text] for c in pool]))
    return pool, pool_vectors, _unit(arrays["image_embeddings"]), labels


def _unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _scikit_learn_loop(
    published: ConceptDataset,
    draws: tuple[Draw, ...],
    heads: tuple[HeadKind, ...],
) -> None:
    """Train one by one on every draw; settings are judged on validation images."""
    ids = published.images["image_id"].to_numpy()
    train, validation = published.rows("train"), published.rows("validation")
    raw = published.vectors[train].astype(np.float64)
    features = (published.vectors - raw.mean(0)) / np.sqrt(raw.var(axis=0).mean())
    of_label = dict(zip(ids[train], published.labels("train"), strict=True))
    row = {image_id: i for i, image_id in enumerate(ids)}
    held, held_labels = features[validation], published.labels("validation")
    for draw in draws:
        x = features[[row[i] for i in draw.image_ids]]
        y = np.array([of_label[i] for i in draw.image_ids])
        models: list[LogisticRegression | LinearDiscriminantAnalysis] = [
            LogisticRegression(C=1 / (len(y) * l2), class_weight="balanced", max_iter=10_000)
            for l2 in ProbeSpec().l2_values
        ]
        if heads and draw.shots != 1:  # one image a class has no covariance
            NearestCentroid().fit(x, y)
            models += [
                LinearDiscriminantAnalysis(solver="lsqr", shrinkage=s, priors=[0.5, 0.5])
                for s in SHRINKAGES
            ]
        for model in models:
            log_loss(held_labels, model.fit(x, y).predict_proba(held))


if __name__ == "__main__":
    print_rows("few shots", main())
