"""Which heads of this probe were adapted to another site, and what was each worth there?"""

from typing import Any

from curette.schemas.heads import card_of
from curette.tasks.methods.explanation import printable
from curette.tasks.methods.page.numbers import counted, plain, signed_with_interval
from curette.tasks.report.material import Draft


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return one row an adaptation; None where there is none."""
    made = draft.material.adaptations
    if not made:
        return None
    return {
        "meaning": f"{counted(len(made), 'adaptation')} of heads to other sites; this page "
        "measures heads as they were trained.",
        "rows": [
            {
                "site": printable(adaptation.facts.site),
                "head": card_of(adaptation.facts.head).title,
                "by": f"{counted(len(adaptation.facts.support), 'image')}, "
                f"{adaptation.facts.adapted_on}",
                "rung": adaptation.facts.rung,
                "images": f"{result.images:,} ({counted(result.groups, 'group')}), "
                f"{result.left_out:,} left out",
                "before": plain(result.before.value),
                "after": plain(result.after.value),
                "gain": signed_with_interval(result.gain),
                "ref": result.adaptation,
                "readings": result.readings,
            }
            for adaptation, result in made
        ],
    }


def adapted_sites(draft: Draft) -> str:
    """Say, beside the numbers of other datasets, to which of them heads were adapted."""
    support: dict[str, set[str]] = {}
    for adaptation, _ in draft.material.adaptations:
        ids = support.setdefault(adaptation.facts.site, set())
        ids.update(x.image_id for x in adaptation.facts.support)
    if not support:
        return ""
    of_sites = "; ".join(
        f"{printable(site)}, {counted(len(ids), 'support image')}" for site, ids in support.items()
    )
    return (
        f"Heads were adapted to some of these datasets ({of_sites}). The numbers here are of heads "
        "as they were trained, on all images, support images among them; adapted heads are "
        "measured on images of no support image's group alone, under “Heads adapted to other "
        "sites”."
    )
