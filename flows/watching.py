"""Looking whether a study's dataset has anything new, by content and not only by time."""

import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

import numpy as np

from curette.flows.events import NEW_DATA, tell_automations
from curette.flows.finished import last_finished
from curette.schemas.artifact import Ref, StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.settings.ingest import DatasetSpec, HubSource, Source
from curette.schemas.study import Study
from curette.storage.pseudonyms import Pseudonyms
from curette.storage.store import ArtifactStore
from curette.storage.watched import Seen, SeenRow, WatchShelf
from curette.storage.withdrawals import WithdrawalShelf
from curette.tasks.ingest.label_columns import class_keys, read_labels
from curette.tasks.ingest.listing import ImageBytes, ImageFile, Listing, VectorOnly, text
from curette.tasks.ingest.readers import list_images
from curette.tasks.ingest.withdrawal import Withdrawal

T = TypeVar("T")

_MOST_VALUES = 12
"""Values of a column that are counted one by one; one of more says who, and not where."""


@dataclass(frozen=True)
class News:
    """What became of a dataset since it was looked at last."""

    images: int = 0
    """New ones: no earlier image has their bytes."""
    classes: Mapping[str, int] | None = None
    """Class key -> new images."""
    columns: Mapping[str, Mapping[str, int]] | None = None
    """Column of metadata that the study keeps, such as the site -> value -> new images."""
    changed: int = 0
    """Images whose bytes, or what the table says of them, are others under the same name."""
    gone: int = 0
    revision: str = ""
    """Of a dataset of the hub, where it is another one."""

    def __bool__(self) -> bool:
        return bool(self.images or self.changed or self.gone)

    @property
    def told(self) -> str:
        """Return it in a line."""
        if not self:
            return "nothing new"
        parts = [f"{self.images:,} new images"] if self.images else []
        for name, counts in {"": self.classes or {}, **(self.columns or {})}.items():
            if listed := ", ".join(f"{n:,} {value}" for value, n in counts.items()):
                parts.append(f"{name}: {listed}" if name else listed)
        parts += [f"{self.changed:,} changed"] if self.changed else []
        parts += [f"{self.gone:,} gone"] if self.gone else []
        return "; ".join(parts)


def watch_each(
    named: Iterable[T], open_study: Callable[[T], Study], root: Path, store: str = ""
) -> Iterator[tuple[T, News]]:
    """Look at the datasets of several studies; one that cannot be looked at stops no other.

    Args:
        named: how each study is named to whoever runs it.
        open_study: the study of a name.
        root: the store.
        store: how the store is named; empty: as its folder.

    Raises:
        StudyError: at the end, of all that could not be looked at. What is remembered of them stays
            as it was.
    """
    failed = []
    for one in named:
        try:
            news = watch_study(open_study(one), root, str(one), store)
        except StudyError as error:
            failed.append(f"{one}: {error}")
        else:
            yield one, news
    if failed:
        raise StudyError("\n".join(failed))


def watch_study(study: Study, root: Path, named: str, store: str = "") -> News:
    """Look at a study's dataset, tell Prefect's automations of anything new, and remember it.

    It is remembered once it was told, so that what is killed between tells again.

    Args:
        study: the study.
        root: the store.
        named: how the study is named to whoever runs it, which the event says.
        store: how the store is; empty: as its folder.
    """
    shelf = WatchShelf(root)
    seen, news = look_at(study, root, shelf.get(study.name))
    if news:
        payload = {"study": named, "store": store or str(root), **asdict(news)}
        tell_automations(NEW_DATA, study.name, payload)
    shelf.keep(study.name, seen)
    return news


def look_at(study: Study, root: Path, before: Seen | None) -> tuple[Seen, News]:
    """Return what a study's dataset is like, and what is new in it.

    Names, sizes and times are asked for first, or the hub's revision; nothing else where these are
    the same. Files are read where size or time changed. Where nothing was looked at before, what
    the last finished run has is not new.

    Args:
        study: the study.
        root: the store.
        before: what it was like.

    Raises:
        StudyError: the dataset is not there, or cannot be read.
    """
    spec = study.kept_dataset
    outside = _outside(spec)
    if before is not None and before.outside == outside:
        return before, News()
    revision = _revision(outside, spec)
    with tempfile.TemporaryDirectory(prefix="curette-watch-") as workshop:
        listing = list_images(spec, Path(workshop), _unwatched, revision)
        listing = _unwithdrawn(listing, study, root)
        rows = dict(_rows(listing, before.rows if before else {}))
        news = _news(spec, listing, rows, before, _known(study, root) if before is None else set())
    told = (revision or "") if news else ""
    return Seen(outside, rows), News(**{**vars(news), "revision": told})


def revision_seen(study: Study, root: Path) -> str | None:
    """Return the commit at which a study's dataset was looked at last; None where it was not.

    A dataset of the hub that is watched is read as it was when it was looked at: so a new commit
    has the study run on what it brings, and a run with nothing to do need not ask the hub.
    """
    if not _is_on_hub(study.dataset.source):
        return None
    seen = WatchShelf(root).get(study.name)
    return _revision(seen.outside, study.dataset) if seen else None


def _revision(outside: str, spec: DatasetSpec) -> str | None:
    """Return the commit that a state of this source tells of; None where it is of no commit."""
    commit, _, of = outside.partition(" ")
    return commit if of == spec.source.model_dump_json() else None


def _is_on_hub(source: Source) -> TypeGuard[HubSource]:
    return isinstance(source, HubSource) and not isinstance(source.path, Path)


def _unwithdrawn(listing: Listing, study: Study, root: Path) -> Listing:
    """Return a listing without what was to be forgotten, of which nothing is kept here either."""
    withdrawn = WithdrawalShelf(root).current().of(study.name)
    if withdrawn is None:
        return listing
    withdrawal = Withdrawal(withdrawn, Pseudonyms(root).of, {})
    return withdrawal.leave_out(listing, study.kept_dataset, workers=2)[0]


def _outside(spec: DatasetSpec) -> str:
    """Return what is cheap to know of a source, and differs where its content does."""
    source = spec.source
    if _is_on_hub(source):
        return f"{_newest_commit(source)} {source.model_dump_json()}"
    digest = hashlib.sha256(spec.model_dump_json().encode())
    for place in (getattr(source, name, None) for name in ("path", "image_folder")):
        if isinstance(place, Path):
            for name, size, time in _files(place):
                digest.update(f"{name} {size} {time}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _newest_commit(source: HubSource) -> str:
    """Return the commit that a dataset's revision, such as its main branch, stands at now.

    Raises:
        StudyError: the hub is not reached, or does not show the dataset to whoever asks.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return str(HfApi().dataset_info(str(source.path), revision=source.revision).sha)
    except HfHubHTTPError as error:
        said = f"HTTP {error.response.status_code}"
        remedy = "Look whether it is there, and whether HF_TOKEN is one that may read it."
    except Exception as error:  # whatever lies below the hub's client
        said = " ".join(str(error).split()).removesuffix(".") or type(error).__name__
        remedy = "Look whether the hub is reached from here; what was remembered stays."
    raise StudyError(f"the hub says nothing of the dataset {source.path}: {said}. {remedy}")


def _files(place: Path) -> Iterator[tuple[str, int, int]]:
    """Yield name, size and time of a file, or of every file below a folder that is not hidden."""
    if not place.exists():
        raise StudyError(f"there is no {place} to watch")
    files = [place] if place.is_file() else sorted(place.rglob("*"))
    for file in files:
        name = file.name if file == place else file.relative_to(place).as_posix()
        if not any(part.startswith(".") for part in name.split("/")) and file.is_file():
            state = file.stat()
            yield name, state.st_size, state.st_mtime_ns


def _rows(listing: Listing, before: Mapping[str, SeenRow]) -> Iterator[tuple[str, SeenRow]]:
    """Yield every row; a file is read where it is not as it was."""
    said = listing.table.to_pylist() if listing.table.num_columns else [{}] * len(listing)
    contents = listing.contents(np.arange(len(listing)))
    for name, row, content in zip(listing.names, said, contents, strict=True):
        table = hashlib.sha256(repr(sorted(map(str, row.items()))).encode()).hexdigest()
        if isinstance(content, ImageFile) and content.path.is_file():
            state, known = content.path.stat(), before.get(name)
            same = known and (known.size, known.mtime_ns) == (state.st_size, state.st_mtime_ns)
            digest = known.content if known and same else _sha256(content.path)
            yield name, SeenRow(state.st_size, state.st_mtime_ns, digest, table)
        elif isinstance(content, ImageBytes):
            data = content.load()
            yield name, SeenRow(len(data), 0, hashlib.sha256(data).hexdigest(), table)
        elif isinstance(content, VectorOnly):
            yield name, SeenRow(0, 0, content.sha256, table)


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _news(
    spec: DatasetSpec,
    listing: Listing,
    rows: Mapping[str, SeenRow],
    before: Seen | None,
    known: set[str],
) -> News:
    earlier = before.rows if before else {}
    said = {(row.content, row.row) for row in earlier.values()}
    contents = {row.content for row in earlier.values()} | known
    added = {n for n, row in rows.items() if row.content not in contents and n not in earlier}
    changed = [
        name
        for name, row in rows.items()
        if name not in added and row.content not in known and (row.content, row.row) not in said
    ]
    here = {row.content for row in rows.values()}
    gone = [name for name, row in earlier.items() if name not in rows and row.content not in here]
    classes: dict[str, int] = {}
    columns: dict[str, dict[str, int]] = {}
    if places := [i for i, name in enumerate(listing.names) if name in added]:
        new = listing.only(np.array(places, dtype=np.int64))
        if not new.columns.findings:
            classes = _counts(class_keys(read_labels(new), spec))
        values = {name: _counts(text(new.table, name)) for name in new.columns.metadata}
        columns = {name: counts for name, counts in values.items() if len(counts) <= _MOST_VALUES}
    return News(
        images=len(added),
        classes=classes,
        columns=columns,
        changed=len(changed),
        gone=len(gone),
    )


def _counts(values: list[str | None]) -> dict[str, int]:
    return dict(Counter(value or "not stated" for value in values).most_common())


def _known(study: Study, root: Path) -> set[str]:
    """Return digests of the images that the study's last finished run has."""
    store = ArtifactStore(root)
    if (finished := last_finished(store, study.name)) is None:
        return set()
    published = Ref[ConceptDataset].parse(store.manifest(finished).recipe.inputs["published"])
    return set(store.load(ConceptDataset, published).images["sha256"])


@contextmanager
def _unwatched(_description: str, _total: int) -> Iterator[Any]:
    yield lambda _count: None
