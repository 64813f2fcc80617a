"""Where do the concept bottleneck and the linear probe decide differently?"""

from typing import Any

from curette.schemas.questions.disagreement import DisagreeingImage
from curette.tasks.methods.page.numbers import p_value
from curette.tasks.report.material import Draft


def compose(draft: Draft) -> dict[str, Any] | None:
    """Return how decisions agree, and the images on which two heads differ most."""
    if draft.evaluation is None:
        return None
    d = draft.evaluation.disagreement
    parted = d.only_first_right + d.only_second_right + d.both_wrong_apart
    total = parted + d.both_right + d.both_wrong_alike
    ahead = d.first if d.only_first_right > d.only_second_right else d.second
    verdict = (
        "Neither is right more often there than chance would have it"
        if d.p_value >= 0.05
        else f"The {ahead} is right more often there than chance would have it"
    )
    return {
        "meaning": f"The {d.first} and the {d.second} decide differently on {parted:,} of "
        f"{total:,} images. {verdict}.",
        "note": f"Exact McNemar test over independent groups: {p_value(d.p_value)}.",
        "rows": [
            {"what": "both right", "count": d.both_right},
            {"what": f"only {d.first} right", "count": d.only_first_right},
            {"what": f"only {d.second} right", "count": d.only_second_right},
            {"what": "both wrong, same class", "count": d.both_wrong_alike},
            {"what": "both wrong, different classes", "count": d.both_wrong_apart},
        ],
        "first": d.first,
        "second": d.second,
        "examples": [_example(draft, x) for x in d.examples],
    }


def _example(draft: Draft, x: DisagreeingImage) -> dict[str, Any]:
    names = draft.class_names
    first, second = names[x.first], names[x.second]
    return {
        "picture": draft.picture(
            x.image_id, f"decided as {first} by one head, {second} by the other"
        ),
        "label": names[x.label],
        "says": [
            {"name": names[key], "share": f"{share:.0%}", "right": key == x.label}
            for key, share in ((x.first, x.first_probability), (x.second, x.second_probability))
        ],
    }
