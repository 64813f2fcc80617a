"""The report's sections, one file each, with the template of the same name.

A section whose name is a field of `Evaluation` tells the answer to that question; the others tell
what a study made. A new one is a file here, a template, and a line below.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from curette.tasks.report.material import Draft
from curette.tasks.report.sections import (
    adaptations,
    annotations,
    borrowed,
    candidates,
    cards,
    choice,
    classes,
    concept_budget,
    concept_truth,
    concepts,
    curves,
    data,
    differences,
    disagreement,
    discovered,
    edits,
    encoders,
    error_prediction,
    explanations,
    few_shots,
    folds,
    images,
    inferred_shares,
    interventions,
    lineage,
    location,
    metrics,
    ordinal,
    predictions,
    priors,
    probe_sets,
    rounds,
    screening,
    shifts,
    sizes,
    strategies,
    subgroups,
    taxonomy,
    validation,
)

Place = Literal["top", "open", "numbers"]


class Section(NamedTuple):
    """A part of the page."""

    name: str
    """Of its file, its template, and its address on the page, with dashes."""
    title: str
    place: Place
    """`top`: on the first screen, under the finding; `open`: below; `numbers`: one click down."""
    compose: Callable[[Draft], dict[str, Any] | None]
    """Returns what the template places, None where there is nothing to tell. Under `numbers`,
    `meaning` is one sentence on what it means for this study."""

    @property
    def anchor(self) -> str:
        """The section's address on the page."""
        return self.name.replace("_", "-")


SECTIONS: tuple[Section, ...] = (
    # A `top` section is drawn on the first screen, under the finding.
    Section("concept_budget", "How few statements suffice", "top", concept_budget.compose),
    Section("cards", "What it decides by", "open", cards.compose),
    Section("strategies", "Which concept calls each class", "open", strategies.compose),
    Section("edits", "What a person changed", "open", edits.compose),
    Section("explanations", "Single decisions", "open", explanations.compose),
    Section("images", "Images", "open", images.compose),
    Section("metrics", "Every head, every metric", "numbers", metrics.compose),
    Section("ordinal", "How far off decisions are", "numbers", ordinal.compose),
    Section("taxonomy", "Which mistakes leave their branch", "numbers", taxonomy.compose),
    Section("differences", "Heads against their baselines", "numbers", differences.compose),
    Section("few_shots", "With few images a class", "numbers", few_shots.compose),
    Section("shifts", "When the images change", "numbers", shifts.compose),
    Section("adaptations", "Heads adapted to other sites", "numbers", adaptations.compose),
    Section("folds", "When other images train", "numbers", folds.compose),
    Section("sizes", "Every head, by number of concepts", "numbers", sizes.compose),
    Section("subgroups", "For whom it holds", "numbers", subgroups.compose),
    Section("predictions", "Which images are decided wrongly", "numbers", predictions.compose),
    Section("disagreement", "Where the two heads disagree", "numbers", disagreement.compose),
    Section("curves", "How far confidence can be relied on", "numbers", curves.compose),
    Section(
        "error_prediction", "Whether doubt is better told", "numbers", error_prediction.compose
    ),
    Section("encoders", "Where encoders disagree", "numbers", encoders.compose),
    Section("concept_truth", "Do scores find their concepts?", "numbers", concept_truth.compose),
    Section("probe_sets", "Whether other images teach it too", "numbers", probe_sets.compose),
    Section("borrowed", "What another study's images teach", "numbers", borrowed.compose),
    Section("interventions", "What correcting concepts brings", "numbers", interventions.compose),
    Section(
        "inferred_shares", "What heads give away of training", "numbers", inferred_shares.compose
    ),
    Section("location", "Whether concepts are seen in the lesion", "numbers", location.compose),
    Section(
        "annotations", "What a model read in reports or images", "numbers", annotations.compose
    ),
    Section("concepts", "All concepts, kept and dropped", "numbers", concepts.compose),
    Section("choice", "How many, which others, how stable", "numbers", choice.compose),
    Section("classes", "Concepts of each class", "numbers", classes.compose),
    Section("candidates", "Where the concepts come from", "numbers", candidates.compose),
    Section("discovered", "What was found without words", "numbers", discovered.compose),
    Section("rounds", "What each round of asking added", "numbers", rounds.compose),
    Section("screening", "What was dropped, and why", "numbers", screening.compose),
    Section("priors", "What is believed before any image", "numbers", priors.compose),
    Section("validation", "Checks before publishing", "numbers", validation.compose),
    Section("data", "The images", "numbers", data.compose),
    Section("lineage", "How this was made", "numbers", lineage.compose),
)
"""In the order of the page."""
