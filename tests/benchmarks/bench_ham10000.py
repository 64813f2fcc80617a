"""Seconds a stage of HAM10000's study, 10,015 images, as `bench_study` has them of the demo's.

Run `python -m tests.benchmarks.bench_ham10000`; it takes many minutes. The data are looked for
where the study looks for them, in ../shared/data.
"""

from tests.benchmarks.bench_study import PROJECT, STUDIES, Row, time_study
from tests.benchmarks.measuring import print_rows

DATA = PROJECT.parent / "shared" / "data" / "ham10000"


def main() -> list[Row]:
    """Time the study, cold and cached; no rows where HAM10000 is absent."""
    if not (DATA / "images").is_dir():
        print("HAM10000 is not here: ../shared/data/ham10000/images is absent")
        return []
    return time_study(STUDIES / "ham10000.yaml")


if __name__ == "__main__":
    print_rows("ham10000", main())
