"""The flow that writes a finished study in a format that other programs read."""

from pathlib import Path

from prefect import flow

from curette.flows.asked import Asked, open_asked, run_name
from curette.flows.exporting import Kind
from curette.flows.exporting import export as export_study
from curette.flows.outcome import Told, on_its_page
from curette.flows.stages import RunOptions
from curette.flows.workplace import StoreFolder, settled
from curette.tasks.methods.markdown import escape


@flow(name="export", flow_run_name=run_name)
def export(
    folder: str,
    study: Asked = "demo",
    kind: Kind = "dataset",
    copy_images: bool = False,
    push: bool = False,
    store: StoreFolder = "",
) -> str:
    """Write a finished study's last run into a folder; return what is there, in a line.

    Args:
        folder: on the worker's machine; it must not be there, or be empty.
        study: which study.
        kind: dataset: as it was published, with its heads as one safetensors file; the others: its
            images with what is known and decided of them, for that program.
        copy_images: copy the images' pixels, without the metadata of their files, where they would
            be links to these.
        push: lay the dataset with its heads into `publish.push.repo` of the hub too.
    """

    def run() -> Told[str]:
        options = settled(RunOptions(), store)
        chosen = open_asked(study, options.store.resolve())
        told = export_study(chosen, options, kind, Path(folder), copy_images=copy_images, push=push)
        return Told(told, escape(told), told, "export")

    return on_its_page(run)
