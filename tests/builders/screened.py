"""A screened set by hand, small enough to reason about."""

from curette.schemas.candidates import Candidate, DiscoveredOrigin, FileOrigin, concept_id
from curette.schemas.concepts import Concept
from curette.schemas.images import ClassLabel
from curette.schemas.review import Decision, Decisions
from curette.schemas.screened import Drop, Family, Flag, ScreenedSet, Unsure

CLASSES = (
    ClassLabel(key="nv", name="nevus"),
    ClassLabel(key="mel", name="melanoma"),
    ClassLabel(key="bcc", name="basal cell carcinoma"),
)
KEYS = tuple(label.key for label in CLASSES)


def candidate(text: str, *classes: str, line: int = 1) -> Candidate:
    return Candidate(text=text, classes=classes, origins=(FileOrigin(file="list", line=line),))


def as_selected(chosen: Candidate, discriminability: float = 0) -> Concept:
    """Return a candidate as the concept that selecting it for all of its classes makes."""
    return Concept(
        concept_id=chosen.concept_id,
        text=chosen.text,
        classes=chosen.classes,
        selected_for=chosen.classes,
        discriminability=discriminability,
        origins=chosen.origins,
    )


def found(number: int, name: str = "", images: tuple[str, ...] = ()) -> Candidate:
    """Return what was found among images, named or not."""
    origin = DiscoveredOrigin(method="kmeans", number=number, name=name, images=images)
    text = f"{name} (found {number})" if name else f"unnamed {number}"
    return Candidate(text=text, classes=KEYS, origins=(origin,))


SCREENED = ScreenedSet(
    kept=(
        candidate("blue veil", "mel", line=1),
        candidate("red dots", "nv", line=2),
        candidate("pink rim", "bcc", line=3),
        candidate("round shape", "nv", line=4),
    ),
    dropped=(
        Drop(candidate=candidate("warm skin", "bcc", line=5), gate="visual", reason="is felt"),
        Drop(
            candidate=candidate("bluish veil", "mel", line=6),
            gate="near_duplicate",
            reason="is nearly 'blue veil' (cosine 0.970)",
        ),
        Drop(
            candidate=candidate("colour of a nevus", "nv", line=7),
            gate="class_leak",
            reason="gives the class 'nevus' away by 'nevus'",
        ),
    ),
    gates=("class_leak", "visual", "near_duplicate"),
    families=(Family(concept_id=concept_id("blue veil"), members=(concept_id("bluish veil"),)),),
    unsure=(
        Unsure(
            concept_id=concept_id("warm skin"), gate="visual", sure=0.1, why="may show as redness"
        ),
        Unsure(concept_id=concept_id("pink rim"), gate="visual", sure=0.4, why="may be a shadow"),
    ),
    flags=(
        Flag(
            gate="co_occurrence",
            concept_ids=(concept_id("blue veil"), concept_id("pink rim")),
            warning="always together",
        ),
    ),
)


def decision(text: str, verdict: str, **more: object) -> Decision:
    return Decision.model_validate(
        {"concept_id": concept_id(text), "text": text, "verdict": verdict, "reviewer": "Ada"} | more
    )


def decisions(*made: Decision) -> Decisions:
    return Decisions(study="by-hand", decisions=made)


def texts(screened: ScreenedSet) -> list[str]:
    return [c.text for c in screened.kept]
