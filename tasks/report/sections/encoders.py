"""Where do the encoders of a study disagree, and does that tell of mistakes?"""

from typing import Any

from curette.schemas.questions.encoders import (
    DoubtedImage,
    DoubtSign,
    EncoderDoubt,
    EncoderTable,
    SharedConcept,
    TellingSign,
)
from curette.tasks.methods.page.numbers import signed_with_interval
from curette.tasks.report.material import Draft
from curette.tasks.report.sections.error_prediction import AREA_DIGITS, verdict

_SIGNS: dict[DoubtSign, str] = {
    "confidence": "its own confidence",
    "encoders": "how far the encoders are apart",
    "resamples": "the same of this encoder alone, trained on resampled images",
    "encoders together": "what all encoders on average give its class",
    "resamples together": "the same of this encoder alone, trained on resampled images",
}


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return what disagreement tells of each head, and images that encoders see differently."""
    if draft.evaluation is None or draft.evaluation.encoders is None:
        return None
    table = draft.evaluation.encoders
    section = encoder_section(table, draft.material.published.facts.encoder.name)
    return section | {"examples": [_example(draft, x) for x in table.examples]}


def encoder_section(table: EncoderTable, own: str) -> dict[str, Any]:
    """Return the tables.

    Args:
        table: what was measured.
        own: what the study's own encoder is called.
    """
    return {
        "meaning": _meaning(table),
        "own": own,
        "encoders": table.encoders,
        "names": [own, *(encoder.name for encoder in table.encoders)],
        "heads": [_head(doubt) for doubt in table.heads],
        "refused": table.not_computable,
        "doubtful": _doubtful(table),
        "concepts": [_concept(c) for c in sorted(table.concepts, key=lambda c: c.alike.value)],
    }


def _meaning(table: EncoderTable) -> str:
    if not table.heads:
        return "Too few mistakes on test images to tell whether disagreement finds them."
    d = table.heads[0]
    return (
        f"Where encoders name different classes, on {d.differing:,} of {d.images:,} images, the "
        f"{d.head} is wrong on {d.mistakes_differing:,}; on the others it is wrong on "
        f"{d.mistakes - d.mistakes_differing:,}. {_worth(d)}"
    )


def _worth(d: EncoderDoubt) -> str:
    """Say what may be claimed: a difference only where its interval leaves 0 out."""
    together = next(s for s in d.signs if s.sign == "encoders together").difference
    if together is None or together.high >= 0:
        return "Beside its own confidence they are not found to tell more of mistakes."
    if d.beyond_resamples.high >= 0:
        return (
            "Beside its own confidence they tell more of mistakes, but not found more than another "
            "head of the same encoder does."
        )
    return "Beside its own confidence they tell more of mistakes."


def _doubtful(table: EncoderTable) -> str:
    """Say under which statements the encoders are not found to see the same."""
    doubtful = {c.text for c in table.concepts if c.is_doubtful}
    shared = {c.text for c in table.concepts}
    if not doubtful:
        return f"by all {len(shared)} they rank images more alike than by others"
    return f"{len(doubtful)} of {len(shared)} are doubtful"


def _concept(c: SharedConcept) -> dict[str, Any]:
    return {
        "text": c.text,
        "encoder": c.encoder,
        "alike": signed_with_interval(c.alike),
        "others": signed_with_interval(c.others),
        "is_doubtful": c.is_doubtful,
    }


def _head(d: EncoderDoubt) -> dict[str, Any]:
    beyond = d.beyond_resamples
    return {
        "head": d.head,
        "encoders": ", ".join(d.encoders),
        "mistakes": f"{d.mistakes:,} of {d.images:,}",
        "shares": [
            ("encoders name different classes", d.differing, d.wrong_differing),
            ("all name the same class", d.images - d.differing, d.wrong_elsewhere),
        ],
        "signs": [_sign(sign) for sign in d.signs],
        "beyond": f"{signed_with_interval(beyond, AREA_DIGITS)}, {verdict(beyond)}",
        "in_any_order": d.in_any_order,
        "answers": [
            {
                "name": a.name,
                "balanced_accuracy": a.balanced_accuracy,
                "difference": signed_with_interval(a.difference),
                "log_loss": a.log_loss,
                "more_loss": signed_with_interval(a.log_loss_difference),
            }
            for a in d.answers
        ],
    }


def _sign(sign: TellingSign) -> dict[str, Any]:
    return {
        "name": _SIGNS[sign.sign],
        "auroc": sign.auroc,
        "aurc": sign.aurc,
        "difference": signed_with_interval(sign.difference, AREA_DIGITS),
        "verdict": "" if sign.difference is None else verdict(sign.difference),
    }


def _example(draft: Draft, x: DoubtedImage) -> dict[str, Any]:
    names = draft.class_names
    told = ", ".join(names[key] for key in x.says)
    return {
        "picture": draft.picture(x.image_id, f"encoders say {told}"),
        "label": names[x.label],
        "says": [
            {"name": names[key], "share": f"{share:.0%}", "right": key == x.label}
            for key, share in zip(x.says, x.probabilities, strict=True)
        ],
    }
