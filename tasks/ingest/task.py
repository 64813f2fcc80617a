"""The stage `ingest`: read the source, check every image, set the test labels apart."""

from curette.schemas.artifact import Ref
from curette.schemas.images import ImageDataset, Rejection
from curette.schemas.settings.ingest import DatasetSpec
from curette.schemas.withdrawals import Withdrawn
from curette.storage.images import ImageShelf
from curette.storage.pseudonyms import Pseudonyms
from curette.storage.store import workshop
from curette.storage.withdrawals import WithdrawalShelf
from curette.tasks.ingest import STAGE
from curette.tasks.ingest.claims import TooManyRejected
from curette.tasks.ingest.dataset import read_dataset
from curette.tasks.ingest.withdrawal import Withdrawal
from curette.tasks.methods.threads import decoding_threads
from curette.tasks.stage import Workplace, leave_table, progress

_SHOWN_REJECTIONS = 1000


@STAGE.task
def ingest_dataset(
    at: Workplace,
    spec: DatasetSpec,
    beside: Ref[ImageDataset] | None = None,
    withdrawn: Withdrawn | None = None,
    revision: str | None = None,
) -> Ref[ImageDataset]:
    """Read a labelled image dataset; keep its test labels, and reports, apart.

    Beside the study's own images another dataset is read: all of it is test. What was withdrawn is
    in no recipe: what is made is what a source that never had it would give, history included. Nor
    is the commit at which a watched dataset of the hub is read: where it brings the same images,
    all that follows has its answers still.
    """
    workers = decoding_threads(at.machine)
    keep = ImageShelf(at.store.root).put
    own = at.store.load(ImageDataset, beside) if beside else None
    pseudonym = Pseudonyms(at.store.root).of
    splits = WithdrawalShelf(at.store.root).splits(withdrawn.splits) if withdrawn else {}
    kept = {} if beside else splits
    withdrawal = Withdrawal(withdrawn, pseudonym, kept) if withdrawn else None
    try:
        with workshop(at.store.root, "datasets") as bench:
            labelled = read_dataset(spec, bench, keep, workers, progress, own, withdrawal, revision)
        labelled = labelled.without_patients_in_ids(pseudonym)
        labelled = labelled.without_classes_in_ids({*spec.labels, *spec.findings})
        labelled = labelled.of_finding(spec) if spec.findings else labelled
    except TooManyRejected as error:
        _leave_rejections(error.rejected)
        raise
    as_if = {
        "withdrawn": None,
        "revision": None,
        "spec": withdrawal.spec(spec) if withdrawal else spec,
    }
    recipe = STAGE.recipe(**as_if)
    held_out = at.store.save(labelled.test_labels(), recipe)
    reports = at.store.save(labelled.reports, recipe) if labelled.reports else None
    dataset = labelled.set_apart(held_out, reports)
    _leave_rejections((*dataset.rejected, *_told_of_withdrawn(labelled.withdrawn)))
    counts = dataset.class_counts
    read_at = f" Read at the commit {revision}." if revision else ""
    leave_table(
        "external-classes" if beside else "ingest-classes",
        [{"class": c.name, "key": c.key, **counts[c.key]} for c in dataset.classes],
        f"{len(dataset):,} images of {dataset.source}.{read_at} " + " ".join(dataset.notes),
    )
    return at.store.save(dataset, STAGE.recipe(**as_if, test_labels=held_out, reports=reports))


def _told_of_withdrawn(count: int) -> tuple[Rejection, ...]:
    """Return how many images were withdrawn; which ones is kept nowhere."""
    said = f"{count:,} rows were withdrawn by `curette forget`"
    return (Rejection(row="", reason="withdrawn", detail=said),) if count else ()


def _leave_rejections(rejected: tuple[Rejection, ...]) -> None:
    if rejected:
        rows = [dict(r) for r in rejected[:_SHOWN_REJECTIONS]]
        leave_table("ingest-rejected", rows, f"{len(rejected):,} rows became no images.")
