"""What a person is told of an adapted head: a few lines, and a page."""

from pathlib import Path

from curette.schemas.adaptation import Adaptation, AdaptationResult
from curette.schemas.artifact import Ref
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.heads import card_of
from curette.tasks.methods.adaptation import LEVEL, MOST_LOST_AT_HOME, NOTHING
from curette.tasks.methods.explanation import printable
from curette.tasks.methods.page.numbers import counted, p_value, plain, signed, signed_with_interval
from curette.tasks.methods.page.render import render

TEMPLATES = Path(__file__).parent / "templates"


def tell(adaptation: Adaptation, result: AdaptationResult) -> str:
    """Return the rung, the losses of all rungs and the gain, a line each."""
    facts = adaptation.facts
    lines = [finding(adaptation)]
    for t in facts.tried:
        gain = "" if t.gain is None else f"  gain {signed(t.gain)} ± {plain(t.standard_error)}"
        lines.append(f"  {'*' if t.taken else ' '} {t.rung:<17} loss {plain(t.loss)}{gain}")
    return "\n".join([*lines, measured(result), *facts.notes, *filter(None, [result.readings])])


def finding(adaptation: Adaptation) -> str:
    """Return in a sentence what was chosen."""
    facts = adaptation.facts
    of = f"{counted(len(facts.support), 'support image')} of {printable(facts.site)}"
    title = card_of(facts.head).title
    if facts.rung == NOTHING:
        return f"By {of} the {title} is left alone: no correction was worth it."
    return f"By {of} the {title} is corrected by: {facts.rung} ({p_value(facts.p_value)})."


def measured(result: AdaptationResult) -> str:
    """Return in a sentence what it is worth."""
    of = f"{result.images:,} other images ({counted(result.groups, 'group')}, "
    return (
        f"Balanced accuracy on {of}{counted(len(result.classes), 'class', 'classes')}): "
        f"{plain(result.before.value)} before, {plain(result.after.value)} after, "
        f"{signed_with_interval(result.gain)}."
    )


def adaptation_page(
    published: ConceptDataset,
    adaptation: Adaptation,
    result: AdaptationResult,
    ref: Ref[Adaptation],
) -> str:
    """Return the page."""
    facts = adaptation.facts
    names = {c.key: c.name for c in published.facts.classes}
    rows = [
        {
            "rung": t.rung,
            "loss": plain(t.loss),
            "gain": "–" if t.gain is None else signed(t.gain),
            "error": plain(t.standard_error),
            "home": signed(-t.lost_at_home),
            "taken": t.taken,
            "stands": t.rung == facts.rung,
        }
        for t in facts.tried
    ]
    page = {
        "study": printable(facts.study),
        "site": printable(facts.site),
        "head": card_of(facts.head).title,
        "finding": finding(adaptation),
        "measured": measured(result),
        "notes": [*facts.notes, *filter(None, [result.readings])],
        "who": printable(facts.editor) or "not said",
        "why": printable(facts.reason) or "not said",
        "on": facts.adapted_on,
        "rows": rows,
        "offset": [
            {"name": printable(names[key]), "value": signed(-value)}
            for key, value in facts.offset.items()
        ],
        "support": [
            {"id": printable(x.image_id), "name": printable(names[x.class_key])}
            for x in facts.support
        ],
        "left_out": result.left_out,
        "level": f"{LEVEL:.0%}".replace("%", " %"),
        "p": p_value(facts.p_value),
        "lost": f"{MOST_LOST_AT_HOME:g}",
        "ref": str(ref),
        "probe": str(adaptation.probe),
        "pictures": [],
        "beside": "",
    }
    return render("adaptation.html.j2", [TEMPLATES], page=page)
