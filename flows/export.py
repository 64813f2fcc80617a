"""The flow that writes a finished study in a format that other programs read."""

from pathlib import Path

from prefect import flow

from curette.flows.exporting import Kind
from curette.flows.exporting import export as export_study
from curette.flows.outcome import on_its_page
from curette.flows.runs import StudyChoice, open_study, run_name
from curette.flows.stages import DEFAULT_OPTIONS, RunOptions
from curette.flows.workplace import settled
from curette.tasks.publish.markdown import escape
from curette.tasks.stage import leave_markdown


@flow(name="export", flow_run_name=run_name)
def export(
    study: StudyChoice,
    folder: str,
    kind: Kind = "dataset",
    copy_images: bool = False,
    push: bool = False,
    options: RunOptions = DEFAULT_OPTIONS,
) -> str:
    """Write a finished study's last run into a folder; return what is there, in a line.

    Args:
        study: a study file on the worker's machine, relative to the folder that the worker runs
            in; `demo`, which comes with curette; or the study itself, filled in here.
        folder: on the worker's machine; it must not be there, or be empty.
        kind: dataset: as it was published, with its heads as one safetensors file; the others: its
            images with what is known and decided of them, for that program.
        copy_images: copy the images' pixels, without the metadata of their files, where they would
            be links to these.
        push: lay the dataset with its heads into `publish.push.repo` of the hub too.
        options: where things are kept.
    """

    def run() -> str:
        told = export_study(
            *(open_study(study), settled(options), kind, Path(folder)),
            copy_images=copy_images,
            push=push,
        )
        leave_markdown("export", escape(told), "What was written.")
        return told

    return on_its_page(run)
