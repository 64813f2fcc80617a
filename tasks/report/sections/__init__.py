"""The report's sections, one file each, with the template of the same name.

A section whose name is a field of `Evaluation` tells the answer to that question; the others tell
what a study made. A new one is a file here, a template, and a line below.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal, NamedTuple

from curette.tasks.report.material import Draft

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


def _section(name: str, title: str, place: Place) -> Section:
    return Section(name, title, place, import_module(f"{__name__}.{name}").compose)


SECTIONS: tuple[Section, ...] = (
    # A `top` section is drawn on the first screen, under the finding.
    _section("concept_budget", "How few statements suffice", "top"),
    _section("cards", "What it decides by", "open"),
    _section("strategies", "Which concept calls each class", "open"),
    _section("edits", "What a person changed", "open"),
    _section("explanations", "Single decisions", "open"),
    _section("images", "Images", "open"),
    _section("metrics", "Every head, every metric", "numbers"),
    _section("ordinal", "How far off decisions are", "numbers"),
    _section("taxonomy", "Which mistakes leave their branch", "numbers"),
    _section("differences", "Heads against their baselines", "numbers"),
    _section("few_shots", "With few images a class", "numbers"),
    _section("shifts", "When the images change", "numbers"),
    _section("adaptations", "Heads adapted to other sites", "numbers"),
    _section("folds", "When other images train", "numbers"),
    _section("sizes", "Every head, by number of concepts", "numbers"),
    _section("subgroups", "For whom it holds", "numbers"),
    _section("predictions", "Which images are decided wrongly", "numbers"),
    _section("disagreement", "Where the two heads disagree", "numbers"),
    _section("curves", "How far confidence can be relied on", "numbers"),
    _section("error_prediction", "Whether doubt is better told", "numbers"),
    _section("encoders", "Where encoders disagree", "numbers"),
    _section("concept_truth", "Do scores find their concepts?", "numbers"),
    _section("probe_sets", "Whether other images teach it too", "numbers"),
    _section("borrowed", "What another study's images teach", "numbers"),
    _section("interventions", "What correcting concepts brings", "numbers"),
    _section("inferred_shares", "What heads give away of training", "numbers"),
    _section("location", "Whether concepts are seen in the lesion", "numbers"),
    _section("annotations", "What a model read in reports or images", "numbers"),
    _section("concepts", "All concepts, kept and dropped", "numbers"),
    _section("choice", "How many, which others, how stable", "numbers"),
    _section("classes", "Concepts of each class", "numbers"),
    _section("candidates", "Where the concepts come from", "numbers"),
    _section("discovered", "What was found without words", "numbers"),
    _section("rounds", "What each round of asking added", "numbers"),
    _section("screening", "What was dropped, and why", "numbers"),
    _section("priors", "What is believed before any image", "numbers"),
    _section("validation", "Checks before publishing", "numbers"),
    _section("data", "The images", "numbers"),
    _section("lineage", "How this was made", "numbers"),
)
"""In the order of the page."""
