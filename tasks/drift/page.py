"""What a person is told of new images: one sentence, a few lines, a page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.drift import AskedOf, DriftFacts, StatementDrift, TestName
from curette.schemas.heads import EXPLAINED, card_of
from curette.schemas.metrics import Estimate
from curette.tasks.methods.explanation import printable
from curette.tasks.methods.page.numbers import counted, p_value, plain, signed
from curette.tasks.methods.page.render import render
from curette.tasks.methods.predictions import UNLIKE_SHARE

TEMPLATES = Path(__file__).parent / "templates"
_SHOWN = 60  # statements on the page
_NAMED = 3  # statements of each direction in the sentence
_TESTS: Final[dict[TestName, str]] = {
    "statements": "the statement that changed most",
    "vectors": "vectors as a whole (maximum mean discrepancy)",
    "beyond": "images unlike all training images",
}
_ASKED_OF: Final[dict[AskedOf, str]] = {
    "head": "the head weighs it",
    "pool": "could have been selected",
    "picture": "about the picture",
}


def sentence(facts: DriftFacts) -> str:
    """Return what was found in one sentence."""
    accuracy = f"the {card_of(EXPLAINED).title}'s expected accuracy {_becomes(facts)}"
    if not facts.found:
        return f"These images show no drift that could not be chance; {accuracy}."
    told = [facts.statements[i] for i in facts.told]
    less, more = ([x for x in told if (x.above > 0.5) == up][:_NAMED] for up in (False, True))
    shown = "; ".join(
        f"{word} {_listed([f'“{printable(x.text)}”' for x in some])}"
        for word, some in (("less", less), ("more", more))
        if some
    )
    if not shown:
        shown = "a difference that no statement names"
    return f"These images show {shown}; {accuracy}."


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _becomes(facts: DriftFacts) -> str:
    before, now, change = facts.accuracy_before, facts.accuracy_now, facts.accuracy_change
    if change.low <= 0 <= change.high:
        return f"stays about {_short(before.value)} ({_short(now.low)} to {_short(now.high)})"
    verb = "falls" if change.value < 0 else "rises"
    return (
        f"{verb} from {_short(before.value)} to {_short(now.value)} "
        f"({_short(now.low)} to {_short(now.high)})"
    )


def _short(value: float) -> str:
    return plain(value, 2).removeprefix("0")


def tell(facts: DriftFacts) -> Iterator[str]:
    """Yield what a terminal shows."""
    yield sentence(facts)
    yield (
        f"{counted(facts.images, 'image')} of {counted(facts.groups, 'group')} against "
        f"{counted(facts.reference_images, 'image')} of {counted(facts.reference_groups, 'group')}"
    )
    for test in facts.tests:
        yield f"  {_TESTS[test.name]}: {p_value(test.corrected)}"
    yield (
        f"  unlike all training images: {facts.unlike_now:.0%}, of validation images "
        f"{facts.unlike_before:.0%}"
    )
    yield from facts.notes


def drift_page(facts: DriftFacts, published: ConceptDataset) -> str:
    """Return the page."""
    names = {c.key: c.name for c in published.facts.classes}
    page = {
        "study": printable(facts.study),
        "batch": printable(facts.batch),
        "sentence": sentence(facts),
        "found": facts.found,
        "notices": list(_notices(facts, published)),
        "tests": [
            {
                "name": _TESTS[t.name],
                "p": p_value(t.p_value),
                "corrected": p_value(t.corrected),
                "verdict": "bad" if t.corrected <= facts.level else "good",
                "told": "changed" if t.corrected <= facts.level else "no change found",
            }
            for t in facts.tests
        ],
        "statements": [_row(facts, i) for i in range(min(_SHOWN, len(facts.statements)))],
        "asked": len(facts.statements),
        "mix": [
            {
                "name": printable(names[m.class_key]),
                "before": f"{m.before:.0%}",
                "now": f"{m.now.value:.0%}",
                "range": f"{m.now.low:.0%} to {m.now.high:.0%}",
            }
            for m in facts.mix
        ],
        "before": _with(facts.accuracy_before),
        "now": _with(facts.accuracy_now),
        "change": _with(facts.accuracy_change, sign=True),
        "unlike_before": f"{facts.unlike_before:.1%}",
        "unlike_now": f"{facts.unlike_now:.1%}",
        "unlike_share": f"{UNLIKE_SHARE:.0%}",
        "level": f"{facts.level:.0%}",
        "images": counted(facts.images, "image"),
        "groups": counted(facts.groups, "group"),
        "reference": counted(facts.reference_images, "image"),
        "reference_groups": counted(facts.reference_groups, "group"),
        "on": facts.checked_on,
        "published": facts.published,
        "probe": facts.probe,
        "pictures": [],
        "beside": "",
    }
    return render("drift.html.j2", [TEMPLATES], page=page)


def _notices(facts: DriftFacts, published: ConceptDataset) -> Iterator[str]:
    if published.facts.encoder.demo:
        yield "The encoder is the embedded demo's, which knows only drawn lesions."
    yield (
        "No label of these images was read. The expected accuracy rests on how sure the head is: "
        "where images of a class look otherwise than they did, it may be sure and wrong."
    )
    yield from facts.notes


def _row(facts: DriftFacts, place: int) -> dict[str, str]:
    x: StatementDrift = facts.statements[place]
    return {
        "text": printable(x.text),
        "direction": "more" if x.above > 0.5 else "less",
        "above": plain(x.above, 2),
        "moved": signed(x.moved, 2),
        "by_mix": signed(x.by_mix, 2),
        "p": p_value(x.family_p_value),
        "asked_of": _ASKED_OF[x.asked_of],
        "told": "named above" if place in facts.told else "",
    }


def _with(e: Estimate, sign: bool = False) -> str:
    say = signed if sign else plain
    return f"{say(e.value)} [{say(e.low)}, {say(e.high)}]"
