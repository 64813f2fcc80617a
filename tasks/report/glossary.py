"""Terms that a reader may not know, each explained once."""

from typing import NamedTuple


class Term(NamedTuple):
    """A term, what it means in a sentence or two, and how it is linked to."""

    key: str
    name: str
    meaning: str


TERMS: tuple[Term, ...] = (
    Term(
        "concept",
        "concept",
        "A short statement about what is visible in an image, such as “irregular border”. Its "
        "score is the cosine of the two vectors that the encoder makes of image and statement.",
    ),
    Term(
        "bottleneck",
        "concept bottleneck",
        "A linear classifier that sees an image through the scores of the selected concepts alone, "
        "so that each decision is a sum of what concepts add.",
    ),
    Term(
        "linear-probe",
        "linear probe",
        "The same linear classifier on the encoder’s whole image vector. It has no readable "
        "reasons and marks what is lost by deciding through concepts.",
    ),
    Term(
        "random-concepts",
        "random concepts",
        "As many concepts, drawn at random from the candidates that were not dropped. A selection "
        "that is no better than they are owes its result to their number.",
    ),
    Term("head", "head", "A classifier trained on what the frozen encoder makes of an image."),
    Term(
        "balanced-accuracy",
        "balanced accuracy",
        "The share of right decisions in each class, averaged over the classes, so that a rare "
        "class counts as much as a frequent one.",
    ),
    Term(
        "interval",
        "interval",
        "Where the value may lie: patients (or other independent groups of images) are drawn again "
        "and again with replacement, and the middle 95% of the resulting values are given.",
    ),
    Term(
        "auroc",
        "AUROC",
        "Area under the receiver operating characteristic: the chance that a positive image scores "
        "higher than a negative one. One half is guessing, 1 is perfect.",
    ),
    Term(
        "nec",
        "NEC",
        "Number of effective concepts: weights that are not zero, divided by the number of classes "
        "(Srivastava et al., 2024).",
    ),
    Term(
        "cem",
        "CEM",
        "Concept existence metric (Aysel et al., 2025): of the concepts that speak most for a "
        "decision, the share that really is in the image.",
    ),
    Term(
        "cgim",
        "CGIM",
        "Concept global importance metric (Aysel et al., 2025): how well a head’s weights or "
        "scores agree with how often each class really shows each concept.",
    ),
    Term(
        "clm",
        "CLM",
        "Concept location metric (Aysel et al., 2025): the share of the lesion that lies in the "
        "part of the image where the concept is seen most strongly.",
    ),
    Term(
        "confounder",
        "confounder",
        "Something that goes with the class in these images without being part of the disease, "
        "such as a ruler beside suspicious moles. A classifier may learn it instead.",
    ),
    Term(
        "near-duplicate",
        "near-duplicate",
        "Two images (or statements) whose vectors are almost the same.",
    ),
    Term(
        "weight",
        "weight",
        "How much a class’s logit grows when a concept’s score rises by one standard deviation of "
        "the training images, minus the mean over all classes: only what differs between classes "
        "decides.",
    ),
    Term(
        "calibration",
        "calibration",
        "Whether a classifier that says 80% is right 80% of the time.",
    ),
)
"""In the order in which the page needs them."""
