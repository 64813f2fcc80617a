"""The demo in small: every stage, in seconds."""

from pathlib import Path

DEMO = Path(__file__).parents[2] / "flows" / "studies" / "demo.yaml"

SMALL = (
    "dataset.source.images=240",
    "few_shots={shots: [1], seeds: 1, heads: [prior]}",
    "probe={epochs: 60, nec: [5], random_draws: 2, heads: [sparse]}",
    "shifts=[{kind: domain, column: hair, train_on: [no]}, {kind: confounded, column: ruler}]",
    "evaluate={resamples: 200, smallest_subgroup: 2}",
    "external.0.dataset.source.images=60",
)
"""Settings of the study that all stages take part in."""

CORE = (
    *SMALL,
    "select.size=8",
    "few_shots=null",
    "shifts=[]",
    "external=[]",
    "locate=null",
)
"""The same without what a study may leave out."""

QUICK = (
    "probe={epochs: 20, random_draws: 1, heads: []}",
    "evaluate.resamples=100",
    "report.wall=false",
)
"""For a run that is only to come to its end: few heads, few resamples, no wall of images."""
