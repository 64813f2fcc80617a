"""What was checked before anything was published?"""

from typing import Any, get_args

from curette.schemas.validation import SuiteName
from curette.tasks.report.material import Draft


def compose(draft: Draft) -> dict[str, Any]:
    """Return every check, suite by suite, those first that did not pass."""
    checks = draft.material.validation.checks
    passed = sum(c.outcome == "passed" for c in checks)
    return {
        "meaning": f"{passed} of {len(checks)} checks passed.",
        "note": "Everything below was checked before anything was published; a failed check "
        "rejects the dataset, a warning is shown.",
        "suites": [_suite(draft, name) for name in get_args(SuiteName)],
    }


def _suite(draft: Draft, name: SuiteName) -> dict[str, Any]:
    checks = [c for c in draft.material.validation.checks if c.suite == name]
    passed = sum(c.outcome == "passed" for c in checks)
    return {
        "name": name,
        "checks": sorted(checks, key=lambda c: c.outcome == "passed"),
        "passed": passed,
        "total": len(checks),
        "troubled": passed < len(checks),
    }
