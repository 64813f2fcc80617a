"""A person's decisions: out to a sheet and back in, or asked for in the Prefect UI."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from curette.flows.runs import RunResult
from curette.flows.stages import RunOptions
from curette.schemas.artifact import Ref, StudyError
from curette.schemas.concepts import ConceptSet
from curette.schemas.images import ImageDataset
from curette.schemas.review import Decision, Decisions
from curette.schemas.screened import ScreenedSet
from curette.schemas.study import Study
from curette.storage.audit import audit
from curette.storage.decisions import DecisionShelf
from curette.storage.images import ImageShelf, image_reader
from curette.storage.store import ArtifactStore
from curette.tasks.review import STAGE
from curette.tasks.review.decisions import merge_decisions
from curette.tasks.review.sheet import read_sheet, write_sheet

RunUntil = Callable[[Study, RunOptions], RunResult]


# --- what is decided ----------------------------------------------------------------------------


def current_decisions(study: Study, store: ArtifactStore) -> Ref[Decisions]:
    """Return the decisions that count in a run of the study: none where its review is off."""
    kept = (
        DecisionShelf(store.root, Decisions).get(study.name) if study.review.mode != "off" else None
    )
    return kept or _save(Decisions(study=study.name, decisions=()), store)


def ask_reviewer(
    study: Study,
    dataset: Ref[ImageDataset],
    screened: Ref[ScreenedSet],
    decided: Ref[Decisions],
    store: ArtifactStore,
) -> Ref[Decisions]:
    """Return the decisions of this run: those that there were and, in the UI, those made now.

    What somebody imported while the form was open is kept, but counts in the next run: this one
    has no vectors for texts that it has not seen.

    Raises:
        StudyError: the run has no UI, or nobody answered in time.
    """
    if study.review.mode != "ui":
        return decided
    from curette.flows.review_form import ask_in_ui

    earlier = store.load(Decisions, decided)
    about = store.load(ImageDataset, dataset)
    read = image_reader(about, ImageShelf(store.root))
    places = dict(zip(about.images["image_id"], about.images["location"], strict=True))
    found = store.load(ScreenedSet, screened)
    made = ask_in_ui(
        found, study.review, about.classes, earlier, lambda image: read(places.get(image, ""))
    )
    if not made:
        return decided
    keep_decisions(study, made, store)
    return _save(merge_decisions(earlier, made), store)


def parted(
    decided: Ref[Decisions], study: Study, store: ArtifactStore
) -> tuple[Ref[Decisions] | None, tuple[Decision, ...]]:
    """Return the decisions about statements, and those about what is selected.

    They are two inputs, so that who exchanges a pick repeats selection and what follows, and not
    the stages before it. Where the review is off there are none.
    """
    if study.review.mode == "off":
        return None, ()
    decisions = store.load(Decisions, decided)
    return _save(decisions.about_statements(), store), decisions.exchanges


def keep_decisions(
    study: Study,
    made: Sequence[Decision],
    store: ArtifactStore,
    check: Callable[[Decisions], None] = lambda _: None,
    withdrawn: Collection[str] = (),
) -> None:
    """Add decisions to those that are the study's now, whoever made them, or leave some out.

    Args:
        study: whose they are.
        made: the decisions; a later one about the same concept takes the place of an earlier.
        store: where they are kept.
        check: is shown those that there are, while nobody else can add any, and may refuse.
        withdrawn: ids of concepts about which nothing is decided any more; what was stays in the
            store, as all earlier decisions do.

    Raises:
        StudyError: two of them exclude each other.
    """

    def add(now: Ref[Decisions] | None) -> Ref[Decisions]:
        earlier = _load(study, now, store)
        check(earlier)
        left = tuple(d for d in earlier.decisions if d.concept_id not in withdrawn)
        return _save(merge_decisions(earlier.model_copy(update={"decisions": left}), made), store)

    DecisionShelf(store.root, Decisions).change(study.name, add)
    if made:
        audit(store.root, f"decided: {len(made)}", study.name, (d.reviewer for d in made))


def decided_so_far(study: Study, store: ArtifactStore) -> Decisions:
    """Return the study's decisions, whether or not its review is on."""
    return _load(study, DecisionShelf(store.root, Decisions).get(study.name), store)


def _load(study: Study, ref: Ref[Decisions] | None, store: ArtifactStore) -> Decisions:
    return store.load(Decisions, ref) if ref else Decisions(study=study.name, decisions=())


def _save(decisions: Decisions, store: ArtifactStore) -> Ref[Decisions]:
    return store.save(decisions, STAGE.recipe_of({}))


# --- the sheet ----------------------------------------------------------------------------------


def export_sheet(
    study: Study,
    options: RunOptions,
    sheet: Path,
    run_until_screen: RunUntil,
    run_until_select: RunUntil | None = None,
) -> str:
    """Write the review sheet of a study, running it as far as that needs; return what to say.

    Where it may run until `select`, the sheet also says what was chosen and what could stand in.

    Raises:
        StudyError: there is such a file already, perhaps with decisions that are not imported.
    """
    if sheet.exists():
        raise StudyError(
            f"{sheet} is there already, and may hold decisions: import it, or choose another name"
        )
    screened = run_until_screen(study, options).made[ScreenedSet.kind]
    store = ArtifactStore(options.store.resolve())
    found = store.load(ScreenedSet, screened)
    decisions = decided_so_far(study, store)
    chosen = None
    if run_until_select is not None:
        chosen = store.load(ConceptSet, run_until_select(study, options).made[ConceptSet.kind])
    try:
        with sheet.open("xb") as file:
            file.write(write_sheet(found, decisions, chosen))
    except OSError as error:
        raise StudyError(f"cannot write the review sheet {sheet}: {error}") from None
    return (
        f"{sheet}: {len(found.kept)} kept and {len(found.dropped)} dropped concepts, "
        f"{len(found.unsure)} that gates were unsure of; {len(decisions.decisions)} decided about "
        "so far. Fill in verdict (keep, drop, reword with new_text, reassign with new_classes, "
        "exchange a chosen one for the statement in new_text), reviewer and comment, and import it."
    )


def import_sheet(study: Study, options: RunOptions, sheet: Path, run_until_screen: RunUntil) -> str:
    """Take the decisions of a sheet over into those of the study; return what was taken.

    Raises:
        StudyError: the sheet cannot be read, or anything in it is wrong; then nothing is taken.
    """
    try:
        content = sheet.read_bytes()
    except OSError as error:
        raise StudyError(f"cannot read the review sheet {sheet}: {error}") from None
    screened = run_until_screen(study, options).made[ScreenedSet.kind]
    store = ArtifactStore(options.store.resolve())
    dataset: Ref[ImageDataset] = Ref.parse(store.manifest(screened).recipe.inputs["dataset"])
    keys = store.load(ImageDataset, dataset).class_keys
    made = read_sheet(content, str(sheet), keys, study.review.reviewer)
    keep_decisions(study, made, store)
    said = summary(made, store.load(ScreenedSet, screened))
    if study.review.mode == "off":
        said += "\nThey do not count yet: the study's review is off; set `review: {mode: file}`."
    return said


def summary(made: Sequence[Decision], screened: ScreenedSet) -> str:
    """Return what was decided in one line."""
    if not made:
        return "0 decisions: no row has a verdict"
    concepts = {c.concept_id for c in screened.kept}
    concepts |= {d.candidate.concept_id for d in screened.dropped}
    counts = sorted(Counter(d.verdict for d in made).items())
    verdicts = ", ".join(f"{n} {verdict}" for verdict, n in counts)
    absent = sum(d.concept_id not in concepts for d in made)
    waiting = f"; {absent} about concepts that are not in the screened set" if absent else ""
    return f"{len(made)} decision{'s' if len(made) > 1 else ''}: {verdicts}{waiting}"
