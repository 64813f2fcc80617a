"""The flow that looks at datasets on a schedule, and tells Prefect's automations of new images."""

from prefect import flow
from prefect.logging import get_run_logger

from curette.flows.asked import StudyName, open_asked
from curette.flows.outcome import Told, on_its_page
from curette.flows.stages import RunOptions
from curette.flows.watching import watch_each
from curette.flows.workplace import StoreFolder, settled
from curette.tasks.methods.markdown import escape


@flow(name="watch")
def watch(studies: tuple[StudyName, ...], store: StoreFolder = "") -> dict[str, str]:
    """Look whether datasets have anything new; nothing is taken in, and nothing is run.

    Each that has is an event `curette.data.new`, upon which `prefect.yaml` has the study run.

    Args:
        studies: whose datasets are looked at: study files on the worker's machine, or names of
            studies that were run in the store.
    """

    def run() -> Told[dict[str, str]]:
        told = {}
        root = settled(RunOptions(), store).store.resolve()
        for named, news in watch_each(studies, lambda named: open_asked(named, root), root):
            told[named] = news.told
            get_run_logger().info(f"{named}: {news.told}")
        rows = [f"| {escape(named)} | {escape(news)} |" for named, news in told.items()]
        page = "\n".join(["| study | found |", "| --- | --- |", *rows])
        headline = "; ".join(f"{named}: {news}" for named, news in told.items())
        return Told(headline, page, told, "watched")

    return on_its_page(run)
