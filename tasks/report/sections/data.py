"""Which images is this about?"""

from typing import Any

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.images import SPLITS
from curette.tasks.methods.page.numbers import counted
from curette.tasks.report.material import Draft

_CLUSTERS, _LOOK_ALIKES = 50, 10  # shown


def compose(draft: Draft) -> dict[str, Any]:
    """Return where images come from, how they are split, and which look almost alike."""
    m = draft.material
    counts, duplicates = m.dataset.class_counts, m.index.duplicates
    return {
        "meaning": f"{counted(len(m.dataset), 'image')} of {len(m.dataset.classes)} classes; "
        f"{counted(len(m.dataset.rejected), 'row')} rejected."
        + f" {counted(m.withdrawn, 'image')} withdrawn."
        * bool(m.withdrawn),
        "note": f"{m.dataset.source} Encoded by {m.published.facts.encoder.name}. "
        f"{_scored_against(m.published.facts.reference)}Labels of the "
        "test split were set apart when the images were taken in.",
        "notes": (*m.dataset.notes, *_erased(m.published)),
        "split_names": SPLITS,
        "rows": [
            {"name": c.name, "counts": [counts.get(c.key, {}).get(s, 0) for s in SPLITS]}
            for c in m.dataset.classes
        ],
        "rejected": m.dataset.rejected,
        "withdrawn": m.withdrawn
        and f"{counted(m.withdrawn, 'image')} withdrawn with `curette forget`: nothing here was "
        "made with them, and which they were is kept nowhere.",
        "index_note": m.index.facts.summary,
        "duplicates": duplicates,
        "clusters": [
            {
                "image": draft.image_name(c.image_id),
                "split": c.split,
                "alike": [
                    {
                        "image": draft.image_name(x.image_id),
                        "split": x.split,
                        "cosine": f"{x.cosine:.4f}",
                    }
                    for x in c.look_alikes[:_LOOK_ALIKES]
                ],
                "more": max(0, len(c.look_alikes) - _LOOK_ALIKES),
            }
            for c in duplicates.clusters[:_CLUSTERS]
        ],
    }


def _erased(published: ConceptDataset) -> list[str]:
    """Return what vectors no longer tell, a sentence a column."""
    erasure = published.facts.erasure
    return [column.told for column in erasure.columns] if erasure else []


def _scored_against(reference: str) -> str:
    return f"Scores tell how much nearer an image is to a concept than to “{reference}”. " * bool(
        reference
    )
