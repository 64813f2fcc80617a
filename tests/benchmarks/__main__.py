"""All benchmarks: `make bench`, or `python -m tests.benchmarks [NAME ...]`.

The large ones, which take minutes each, are apart: `make bench-large`, or `--large`.

Prints a table each and keeps it in `benchmarks.json` with the machine's name; what other benchmarks
left there stays. Figures are of one run on one machine: compare the ratios, not the seconds.
"""

import importlib
import sys

from rich.console import Console

from tests.benchmarks.measuring import FILE, keep_rows, machine_facts, print_rows

NAMES = (
    "bench_study",
    "bench_embedding",
    "bench_precision",
    "bench_ray",
    "bench_threads",
    "bench_selection",
    "bench_index",
    "bench_probe",
    "bench_few_shots",
)
LARGE = (
    "bench_edits",
    "bench_few_shot_splits",
    "bench_folds",
    "bench_concept_budget",
    "bench_ham10000",
    "bench_memory",
    "bench_ray_nodes",
    "bench_large_selection",
    "bench_joint_selection",
)


def main(names: list[str]) -> None:
    """Run the named benchmarks, or all."""
    console = Console(width=140)
    console.print(" · ".join(str(v) for v in machine_facts().values()))
    for name in LARGE if names == ["--large"] else names or NAMES:
        rows = importlib.import_module(f"tests.benchmarks.{name}").main()
        if rows:
            print_rows(name.removeprefix("bench_"), rows)
            keep_rows(FILE, name, rows)
    console.print(f"written to {FILE.resolve()}")


if __name__ == "__main__":
    main(sys.argv[1:])
