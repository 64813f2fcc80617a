"""Great Expectations at work: a suite and a table in, checks in our words out."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from curette.schemas.validation import Check, SuiteName
from curette.tasks.validate.expectations import Expectation

SuiteResult = Any

EXAMPLES = 5
VALUES_SEEN = 20
"""Unexpected values that Great Expectations returns; equal ones make one example."""


def run_suite(
    name: SuiteName, table: pd.DataFrame, expectations: Sequence[Expectation]
) -> SuiteResult:
    """Run one suite on one table; return Great Expectations' result.

    What differs between two runs on equal tables (ids, times, tracebacks) is taken out, and the
    results stand in the order of the expectations. The table's first column names its rows.
    """
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    quiet_and_in_memory = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        progress_bars=ProgressBarsConfig(globally=False),
    )
    context = gx.get_context(mode="ephemeral", project_config=quiet_and_in_memory)
    asset = context.data_sources.add_pandas("curette").add_dataframe_asset(name)
    batch = asset.add_batch_definition_whole_dataframe(name).get_batch({"dataframe": table})
    result = batch.validate(
        gx.ExpectationSuite(name=name, expectations=list(expectations)),
        result_format={
            "result_format": "SUMMARY",
            "partial_unexpected_count": VALUES_SEEN,
            "unexpected_index_column_names": [table.columns[0]],
        },
    )
    order = [e.description for e in expectations]
    result.results.sort(key=lambda one: order.index(one.expectation_config.description))
    result.meta = {"great_expectations_version": gx.__version__}
    for one in result.results:
        one.expectation_config.id = None
        one.expectation_config.kwargs.pop("batch_id", None)
        one.exception_info = _first_exception(one.exception_info)
    return result


def _first_exception(info: dict[str, Any]) -> dict[str, Any]:
    """Return what was raised, in one shape and without the paths of this machine.

    Great Expectations gives one record, or one for each metric that broke.
    """
    records = [info] if "raised_exception" in info else list(info.values())
    messages = [r["exception_message"] for r in records if r["raised_exception"]]
    return {
        "raised_exception": bool(messages),
        "exception_message": messages[0] if messages else None,
        "exception_traceback": "" if messages else None,
    }


def checks_of(result: SuiteResult) -> tuple[Check, ...]:
    """Return one check for each expectation of a suite's result."""
    return tuple(_check(result.suite_name, one) for one in result.results)


def _check(suite: SuiteName, one: Any) -> Check:
    config, found = one.expectation_config, one.result
    kwargs = config.kwargs
    broke = one.exception_info["raised_exception"]
    return Check(
        suite=suite,
        expectation=config.description,
        remedy=config.notes,
        column=kwargs.get("column") or f"{kwargs['column_A']}, {kwargs['column_B']}",
        severity=config.severity,
        outcome="error" if broke else "passed" if one.success else "failed",
        unexpected_count=found.get("unexpected_count", 0 if one.success else 1),
        examples=(one.exception_info["exception_message"],) if broke else _examples(found),
        observed=_said(found["observed_value"]) if found.get("observed_value") else "",
    )


def _examples(found: dict[str, Any]) -> tuple[str, ...]:
    """Return the first different unexpected values, each with its row's name."""
    if "partial_missing_list" in found:
        said = [f"nothing is {value}" for value in found["partial_missing_list"]]
    else:
        names = found.get("unexpected_index_column_names", ())
        rows = found.get("partial_unexpected_index_list") or ()
        said = [_example(row, names) for row in rows]
    return tuple(dict.fromkeys(said))[:EXAMPLES]


def _example(row: dict[str, Any], names: Sequence[str]) -> str:
    findings = [value for column, value in row.items() if column.endswith("?")]
    if findings:
        return str(findings[0])
    values = [f"{column} = {_said(v)}" for column, v in row.items() if column not in names]
    return ": ".join(
        [*(str(row[name]) for name in names), *([", ".join(values)] if values else [])]
    )


def _said(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
