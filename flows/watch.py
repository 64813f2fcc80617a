"""The flow that looks at datasets on a schedule, and tells Prefect's automations of new images."""

from prefect import flow
from prefect.logging import get_run_logger

from curette.flows.outcome import on_its_page
from curette.flows.runs import StudyFile, open_study
from curette.flows.stages import DEFAULT_OPTIONS, RunOptions
from curette.flows.watching import watch_study
from curette.flows.workplace import settled
from curette.tasks.stage import leave_table


@flow(name="watch")
def watch(studies: list[StudyFile], options: RunOptions = DEFAULT_OPTIONS) -> dict[str, str]:
    """Look whether datasets have anything new; nothing is taken in, and nothing is run.

    Each that has is an event `curette.data.new`, upon which `prefect.yaml` has the study run.

    Args:
        studies: study files on the worker's machine, relative to the folder that the worker runs
            in.
        options: where things are kept.
    """

    def run() -> dict[str, str]:
        told, given = {}, settled(options)
        for named in studies:
            news = watch_study(open_study(named), given.store.resolve(), named)
            told[named] = news.told
            get_run_logger().info(f"{named}: {news.told}")
        rows: list[dict[str, object]] = [{"study": k, "found": v} for k, v in told.items()]
        leave_table("watched", rows, "What is new in the watched datasets")
        return told

    return on_its_page(run)
