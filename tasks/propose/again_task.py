"""The stage `propose` in later rounds: what is still confused in, more candidates out."""

from curette.schemas.appraisal import Appraisal
from curette.schemas.artifact import Ref
from curette.schemas.candidates import CandidateSet
from curette.schemas.images import ImageDataset
from curette.schemas.screened import ScreenedSet
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.settings.propose import ProposeSpec
from curette.storage.responses import ResponseShelf
from curette.tasks.propose import STAGE
from curette.tasks.propose.again import propose_again
from curette.tasks.propose.candidates import Interview
from curette.tasks.propose.task import leave_tables
from curette.tasks.stage import Workplace, progress


@STAGE.task
def propose_concepts_again(
    at: Workplace,
    dataset: Ref[ImageDataset],
    candidates: Ref[CandidateSet],
    screened: Ref[ScreenedSet],
    appraisal: Ref[Appraisal],
    spec: ProposeSpec,
    llm: LlmSpec | None,
) -> Ref[CandidateSet]:
    """Ask about the classes that are still confused; earlier candidates stay, none comes twice.

    What the rounds before and their judge have cost counts towards the model's limits.
    """
    about = at.store.load(ImageDataset, dataset)
    earlier = at.store.load(CandidateSet, candidates)
    before = earlier.usage + at.store.load(ScreenedSet, screened).usage
    with progress("asking again", 0) as advance:
        shelf = ResponseShelf(at.store.root)
        interview = Interview(llm, shelf, advance, before=before) if llm else None
        appraised = at.store.load(Appraisal, appraisal)
        found = propose_again(about.classes, spec, interview, earlier, appraised)
    leave_tables(found, about)
    return at.store.save(found, STAGE.recipe())
