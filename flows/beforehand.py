"""What can be known before anything long begins is said then, and not hours later."""

import re
from contextlib import suppress
from pathlib import Path

from curette.flows.asked import run_last
from curette.flows.stages import RunOptions
from curette.schemas.artifact import StudyError
from curette.schemas.images import METADATA, ImageDataset
from curette.schemas.pushed import Pushed
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.study import Study
from curette.storage.store import ArtifactCorrupt, ArtifactMissing, ArtifactStore
from curette.storage.studies import StudyShelf
from curette.tasks.methods.llm.client import find_key
from curette.tasks.push.hub import token_for_the_hub
from curette.tasks.stage import declared_stages, stage_names


def check_study(study: Study, options: RunOptions) -> None:
    """Look, before the first stage, for what a later one would end with.

    Raises:
        StudyError: a language model will be asked, and there is no key for it; or the dataset is
            to go to the hub, and there is no token.
    """
    store = ArtifactStore(options.store)
    if study.publish.push and "push" in wanted_stages(options) and not store.latest(Pushed.kind):
        token_for_the_hub()
    if study.llm and must_ask(study, options):
        find_key(study.llm)


def lender_of(name: str, study: Study, store: ArtifactStore) -> Study:
    """Return the study whose images are to teach concepts, as it was run last.

    Raises:
        StudyError: it was not run, or is this one, or what it publishes is not to tell a column.
    """
    if name == study.name:
        raise StudyError(
            f"probe.grounding.from: {name} is this study itself, whose own columns the head "
            "`grounded` learns from; name another study"
        )
    lender = run_last(name, store.root)
    if lender is None:
        others = ", ".join(sorted({*StudyShelf(store.root).names} - {study.name}))
        raise StudyError(
            f"probe.grounding.from: no study {name} was run in the store {store.root}, which has "
            f"{others or 'no other'}. Run it first: `curette run {name}`, or its study file, with "
            "the same --store"
        )
    if lender.publish.erase:
        raise StudyError(
            f"probe.grounding.from: {name} erases {', '.join(lender.publish.erase)} from what it "
            "publishes (`publish.erase`), and directions that its images teach might tell it. "
            "Borrow from a study that erases nothing"
        )
    return lender


def asking_stages(study: Study, options: RunOptions) -> list[str]:
    """Return the stages of a run that ask a language model."""
    asking = {
        "propose": study.propose.asks,
        "screen": study.screen.asks,
        "priors": study.priors.kind == "llm",
        "annotate": study.annotate is not None,
    }
    wanted = set(wanted_stages(options))
    return [stage for stage, asks in asking.items() if asks and stage in wanted]


def must_ask(study: Study, options: RunOptions) -> bool:
    """Return whether something is left to be asked, as far as the store tells."""
    stages = asking_stages(study, options)
    llm = study.llm
    return llm is not None and any(not _was_made(s, llm, options.store) for s in stages)


def check_columns(study: Study, dataset: ImageDataset) -> None:
    """Look, once the images are taken in, for columns that later stages will ask for.

    Raises:
        StudyError: the images have no such column.
    """
    columns = [str(column) for column in dataset.images.columns]
    known = {c.removeprefix(METADATA) for c in columns if c.startswith(METADATA)}
    asked = [(f"shifts: {shift.title}", shift.column) for shift in study.shifts]
    asked += [("evaluate.subgroup_columns", c) for c in study.evaluate.subgroup_columns or ()]
    asked += [("evaluate.inferred_shares", c) for c in study.evaluate.inferred_shares]
    if lost := [(where, column) for where, column in asked if column not in known]:
        [(where, column), *more] = lost
        others = f" (and {len(more)} other columns are missing too)" if more else ""
        raise StudyError(
            f"{where} names the column {column}, and the images have no such metadata{others}; "
            f"they have {', '.join(sorted(known)) or 'none'}. Columns that are read as labels, "
            "ids, subjects or attributes are not among them."
        )


def wanted_stages(options: RunOptions) -> list[str]:
    """Return the stages that a run may come to."""
    names = stage_names()
    until, before = (
        title and re.sub(r"^\w+ \((round \d+)\)$", r"appraise (\1)", title)  # what it comes by
        for title in (options.until, options.before)
    )
    end = names.index(until) + 1 if until else len(names)
    end = min(end, names.index(before)) if before else end
    return names[:end]


def _was_made(stage: str, llm: LlmSpec, root: Path) -> bool:
    """Return whether the store has something of a stage that asked this model.

    Then nothing may be left to be asked, for which no key is needed.
    """
    store = ArtifactStore(root)
    for ref in store.latest(declared_stages()[stage].makes):
        with suppress(ArtifactMissing, ArtifactCorrupt):
            recipe = store.manifest(ref).recipe
            if recipe.stage == stage and recipe.spec.get("llm") == llm.identity():
                return True
    return False
