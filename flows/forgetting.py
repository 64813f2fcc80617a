"""Forgetting a patient, an image or a class: left out from now on, purged, made anew, certified."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from curette.flows.explain import RunStudy
from curette.flows.forget_plan import Wanted, is_forgotten, made_last, plan_purge, receipt_of
from curette.flows.outcome import Told
from curette.flows.prefect_records import forget_records
from curette.flows.stages import RunOptions
from curette.schemas.artifact import CuretteError, StudyError
from curette.schemas.images import ImageDataset
from curette.schemas.purge import Certificate, PurgePlan, What
from curette.schemas.study import Study
from curette.storage.bucket import bucket_of
from curette.storage.lease import unused
from curette.storage.purge import (
    end_plan,
    plan_place,
    purge,
    purge_versions,
    read_plan,
    tally_place,
    write_certificate,
    write_plan,
)
from curette.storage.scan import Search, scan
from curette.storage.store import ArtifactStore
from curette.tasks.forget.page import because, certificate_page

_LISTED = 10
_KINDS: dict[str, What] = {"subject": "subject", "image": "image", "class": "class"}


@dataclass(frozen=True)
class Forgotten:
    """What was done, and where it is written down."""

    told: str
    page: Path | None = None


def tell_all(done: Sequence[Forgotten]) -> Told[str]:
    """Return what the page of a run says that forgot several: every certificate."""
    pages = [one.page for one in done if one.page]
    headline = " ".join(one.told.partition("\n")[0] for one in done)
    text = [page.read_text(encoding="utf-8").strip() for page in pages]
    places = "\n".join(map(str, pages)) or "nothing was left to be forgotten"
    return Told(
        headline, "\n\n".join([*text, *(["Kept at:"] if pages else []), places]), places, "forget"
    )


def read_order(file: Path) -> list[Wanted]:
    """Return what a file asks to be forgotten.

    Raises:
        StudyError: it cannot be read, or a line says something else. What it says is not repeated.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise StudyError(f"cannot read the file {file}, or it is no text in UTF-8") from None
    wanted = []
    for number, line in enumerate(lines, 1):
        what, _, value = line.strip().partition(" ")
        if not what:
            continue
        if what not in _KINDS or not value.strip():
            raise StudyError(
                f"{file}, line {number}: `subject ID`, `image SHA256` or `class KEY` is expected"
            )
        wanted.append(Wanted(_KINDS[what], value.strip()))
    if not wanted:
        raise StudyError(f"{file} names nothing to forget")
    return wanted


def choose_wanted(subject: str | None, image: str | None, class_: str | None) -> Wanted:
    """Return what the command line asks to be forgotten.

    Raises:
        StudyError: not exactly one thing was named.
    """
    given: dict[What, str | None] = {"subject": subject, "image": image, "class": class_}
    named = [Wanted(what, value.strip()) for what, value in given.items() if value is not None]
    if len(named) != 1 or not named[0].value:
        raise StudyError("name what to forget: one of --subject ID, --image SHA256, --class KEY")
    return named[0]


def forget_one(
    study: Study,
    options: RunOptions,
    wanted: Wanted,
    run: RunStudy,
) -> Forgotten:
    """Forget one thing, after what an earlier try that was killed has left to do.

    Args:
        study: where it is known under that id; purged is the whole store.
        options: where things are kept.
        wanted: what.
        run: runs the study, on a Prefect server that can be asked.

    Raises:
        StudyError: there is no such subject, image or class, or too few classes would be left.
        StoreInUse: a study is running on the store.
        CuretteError: traces were found that no shelf has, or the study cannot be made anew.
    """
    store = ArtifactStore(options.store.resolve())
    earlier = read_plan(store.root)
    if earlier:
        done = _carry_out(earlier, study, store, options, run, resumed=True)
        if hmac.compare_digest(earlier.receipt, receipt_of(earlier.code, study.name, wanted)):
            return done
    if is_forgotten(study, wanted, store):
        return Forgotten("nothing to do: that was forgotten before")
    made = run(study, options.model_copy(update={"until": "ingest", "before": None})).made
    with unused(store.root):
        plan = plan_purge(study, wanted, store, made[ImageDataset.kind])
        write_plan(store.root, plan)
    return _carry_out(plan, study, store, options, run)


def _carry_out(
    plan: PurgePlan,
    study: Study,
    store: ArtifactStore,
    options: RunOptions,
    run: RunStudy,
    resumed: bool = False,
) -> Forgotten:
    """Purge, make the study anew, search the store, certify; every step can be repeated."""
    with unused(store.root) as check:
        tally = purge(store, plan, check)
    forget_records(Search(plan.traces), partial(tally.note, "records of Prefect"))
    failed: CuretteError | None = None
    if study.name == plan.study:
        until = None if plan.before else "ingest"
        try:
            run(study, options.model_copy(update={"until": until, "before": None}))
        except CuretteError as error:
            failed = error
    kept_aside = (plan_place(store.root), tally_place(store.root))
    names = [place.relative_to(store.root).as_posix() for place in kept_aside]
    bucket = bucket_of(store.root)
    with unused(store.root) as check:
        earlier = purge_versions(store.root, plan, tally, check)
        searched = scan(store.root, plan.traces, names)
        certificate = Certificate(
            number=plan.number,
            study=plan.study,
            what=plan.what,
            receipt=plan.receipt,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            images=len(plan.images),
            removed=tally.counts,
            resumed=resumed,
            before=plan.before,
            after=made_last(plan.study, store),
            rebuilt=_why_not(failed, study, plan),
            searched_files=searched.files,
            searched_bytes=searched.size_bytes,
            unreadable=searched.unreadable,
            searched_for={
                "digests": len(plan.traces.digests),
                "ids": len(plan.traces.ids),
                "passages of reports": len(plan.traces.passages),
            },
            too_short=plan.too_short,
            found=searched.found,
            bucket=bucket.url if bucket else "",
            versions=earlier.kept,
            versions_refused=earlier.refused,
        )
        page = write_certificate(store.root, certificate, certificate_page(certificate))
        if not searched.found:
            end_plan(store.root, check)
    if searched.found:
        places = ", ".join(sorted({f.place for f in searched.found})[:_LISTED])
        raise CuretteError(
            f"Traces are left ({len(searched.found):,} in all) in files of the store that no shelf "
            f"of it has: {places}. Delete these files and forget the same again; until then "
            f"{plan_place(store.root)} says who is to be forgotten. What was done: {page}"
        )
    if failed:
        raise failed
    return Forgotten(_tell(certificate, plan, page), page)


def _why_not(failed: CuretteError | None, study: Study, plan: PurgePlan) -> str:
    if study.name != plan.study:
        return f"another study was run; the next run of {plan.study} makes it"
    if failed:
        return "its run ended with an error, which the next run tells"
    return "" if plan.before else "it was never finished: what was taken in was taken in anew"


def _tell(certificate: Certificate, plan: PurgePlan, page: Path) -> str:
    gone = ", ".join(f"{count:,} {shelf}" for shelf, count in certificate.removed.items())
    versions = {
        "none": "",
        "removed": "",
        "kept": "The bucket keeps earlier versions, and what was removed is still in them"
        f"{because(certificate.versions_refused)}: delete those that are not current.\n",
        "not told": "If the bucket keeps earlier versions, delete those that are not current.\n",
    }[certificate.versions]
    return (
        f"{certificate.images:,} images are forgotten. Removed: {gone or 'nothing was left'}.\n"
        f"{certificate.searched_files:,} files were searched, and hold no trace.\n"
        f"{versions}"
        f"certificate: {page}\n"
        f"code: {plan.code} - with it and the id anybody can check that the certificate is about "
        "that id; it is kept nowhere, so write it down"
    )
