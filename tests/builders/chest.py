"""A table of drawn images with two findings, the way that chest datasets come."""

import csv
from pathlib import Path

from curette.tasks.ingest.synthetic import ATTRIBUTE_PHRASES, generate_images

FINDINGS = {"Blue Veil": "blue_white_veil", "Vessels": "arborizing_vessels"}
"""Column -> the attribute that is drawn."""
BLANK, UNCERTAIN = 3, 7
"""Rows of which the first finding is not said, or not sure."""


def write_chest(folder: Path, images: int = 120) -> Path:
    """Write images, a table of two findings a row, statements, and the study of them."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for number, image in enumerate(generate_images(images, 0)):
        (folder / "images" / f"view{number:03d}.png").write_bytes(image.png)
        told = {c: f"{float(image.attributes[a])}" for c, a in FINDINGS.items()}
        rows.append({"Path": f"view{number:03d}.png", "Patient": image.lesion, **told})
    rows[BLANK]["Blue Veil"], rows[UNCERTAIN]["Blue Veil"] = "", "-1.0"
    with (folder / "train.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    (folder / "signs.txt").write_text("\n".join(ATTRIBUTE_PHRASES.values()))
    study = folder / "chest.yaml"
    study.write_text(_STUDY)
    return study


_STUDY = """\
name: chest
dataset:
  source: {kind: table, path: train.csv, image_column: Path, image_folder: images}
  subject_column: Patient
  findings:
    Blue Veil: opaline film
    Vessels: ramified lines
propose:
  sources: [{kind: file, path: signs.txt, format: lines}]
  modality: dermoscopy
encoder: {kind: open_clip, model: demo}
select: {size: 4}
validation: {min_images_per_class: 2}
few_shots: null
locate: null
probe: {epochs: 20, nec: [], random_draws: 2, heads: []}
evaluate: {resamples: 100, explained_images: 1, permutations: 100}
report: {wall: false}
"""
