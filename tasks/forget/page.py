"""The page of a certificate: what was removed, and how it was looked for. It names nobody."""

from curette.schemas.purge import Certificate


def certificate_page(c: Certificate) -> str:
    """Return a certificate as a page of Markdown; it names nobody."""
    changed = [
        f"| {stage} | `{c.before.get(stage, '')}` | `{c.after.get(stage, '')}` |"
        for stage in dict.fromkeys([*c.before, *c.after])
    ]
    found = [f"- `{f.place}`: {f.trace}" for f in c.found]
    named = {"subject": "one patient", "image": "one image", "class": "one class"}[c.what]
    again = " An earlier try was killed; what it had removed is counted too." * c.resumed
    lines = [
        f"# Certificate {c.number}",
        "",
        f"At {c.at} {named} of the study `{c.study}` was forgotten: {c.images:,} images.",
        "Who that was is not said here. Whoever has the code that was told once, and the id, finds "
        f"that HMAC-SHA256 of `{c.study}`, `{c.what}` and the id, parted by zero bytes, under the "
        f"code is `{c.receipt}`.",
        "",
        "## Removed",
        "",
        *(f"- {count:,} {shelf}" for shelf, count in c.removed.items()),
        *([again.strip()] if c.resumed else []),
        "",
        "## Searched afterwards",
        "",
        f"{c.searched_files:,} files of the store, {c.searched_bytes:,} bytes, as they lie there "
        "and as what they hold (Parquet, Arrow, NumPy, zip, compressed, JSON, HTML), for "
        + ", ".join(f"{count:,} {what}" for what, count in c.searched_for.items())
        + ". "
        + ("**Found:**" if found else "None was found."),
        *found,
        *(
            [f"{c.too_short:,} ids are too short to be told from chance; none was searched for."]
            if c.too_short
            else []
        ),
        *(
            [f"Could not be decoded, only searched as bytes: {', '.join(c.unreadable)}."]
            if c.unreadable
            else []
        ),
        "",
        "## Made anew" if not c.rebuilt else f"## Not made anew: {c.rebuilt}",
        "",
        "An artifact's address covers what made it, so all addresses behind the images change. Up "
        "to the evaluation they are the addresses of a study whose data never had these images "
        "and whose other images were in the same splits; the report's recipe says how many "
        "images were withdrawn.",
        "",
        "| stage | before | after |",
        "| --- | --- | --- |",
        *changed,
        "",
        "## Out of reach",
        "",
        "What left this store: published or copied datasets, heads and reports, backups, what a "
        "language model's provider keeps, logs of other programs, and the source that the images "
        "were read from, which is read and never written. Deleted bytes may be found on a disk, "
        "and in a database of Prefect, until they are written over.",
        *_of_bucket(c),
    ]
    return "\n".join(lines)


def _of_bucket(c: Certificate) -> list[str]:
    """Return what has to be said of a store in object storage; nothing of one in a folder."""
    if not c.bucket:
        return []
    earlier = {
        "none": "It keeps no earlier versions of what is removed, as far as it tells.",
        "removed": "It keeps earlier versions: those of what was removed, and any other that held "
        "a trace, were deleted too, and are not listed any more.",
        "kept": "**The bucket keeps earlier versions: what was removed is still in them"
        f"{because(c.versions_refused)}.** Delete those that are not current, or have a rule of "
        "the bucket do so, and keep the proof beside this certificate.",
        "not told": "Whether the bucket keeps earlier versions, or removed objects for some days, "
        "cannot be told from here; if it does, delete them there.",
    }
    return [
        "",
        f"The store is `{c.bucket}`; its objects and this machine's copy of them were searched. "
        f"{earlier[c.versions]} Copies on other machines lose what was removed when a run or a "
        "removal next begins there; until then delete `~/.cache/curette` on each.",
    ]


def because(refused: str) -> str:
    """Return why versions were not deleted, in brackets; nothing where nobody refused it."""
    return f" (the server did not let them be deleted: {refused})" if refused else ""
