"""The stage `priors`: what is believed of every concept and class before any image is seen."""

from curette.schemas.artifact import Ref
from curette.schemas.candidates import CandidateSet
from curette.schemas.images import ImageDataset
from curette.schemas.priors import Prior, Priors, Votes
from curette.schemas.screened import ScreenedSet
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.settings.priors import PriorSpec
from curette.storage.responses import ResponseShelf
from curette.tasks.priors import STAGE
from curette.tasks.priors.asking import count_requests
from curette.tasks.priors.priors import collect_priors
from curette.tasks.stage import Workplace, leave_table, progress


@STAGE.task
def form_priors(
    at: Workplace,
    dataset: Ref[ImageDataset],
    candidates: Ref[CandidateSet],
    screened: Ref[ScreenedSet],
    spec: PriorSpec,
    modality: str,
    llm: LlmSpec | None,
) -> Ref[Priors]:
    """Find out what each concept says of each class; nothing that was answered is asked again.

    What the candidates and the judge have cost counts towards the model's limits.
    """
    classes = at.store.load(ImageDataset, dataset).classes
    pool = at.store.load(ScreenedSet, screened)
    shelf = ResponseShelf(at.store.root)
    spent = at.store.load(CandidateSet, candidates).usage + pool.usage
    with progress("asking for priors", count_requests(len(pool.kept), spec)) as advance:
        found = collect_priors(pool.kept, classes, spec, modality, llm, shelf, spent, advance)
    texts = {c.concept_id: c.text for c in pool.kept}
    leave_table("priors", [_row(p, texts) for p in found.priors if _tells(p)], _summary(found))
    return at.store.save(found, STAGE.recipe())


def _tells(prior: Prior) -> bool:
    """Return whether a prior is worth a row: most pairs are neutral, and a table has an end."""
    return prior.answer != "neutral" or prior.directions_differ


def _row(prior: Prior, texts: dict[str, str]) -> dict[str, object]:
    return {
        "concept": texts[prior.concept_id],
        "class": prior.class_key,
        "answer": prior.answer,
        "shows it": _shown(prior.speaks_for),
        "speaks against": _shown(prior.speaks_against),
        "reverse": _shown(prior.reverse),
        "directions": "differ" if prior.directions_differ else "",
    }


def _shown(votes: Votes) -> str:
    return f"{votes.yes} of {votes.yes + votes.no}" if votes.yes + votes.no else ""


def _summary(found: Priors) -> str:
    neutral = sum(p.answer == "neutral" for p in found.priors)
    kappas = ", ".join(
        f"{a.question} {'undefined' if a.kappa is None else f'{a.kappa:.2f}'} over {a.items} pairs"
        for a in found.agreement
    )
    spellings = "; ".join(
        f"`{s.names[0]}` and `{s.names[1]}` agree on {s.agree} of {s.questions} questions"
        for s in found.spellings
    )
    parts = [
        f"{found.source}. Neutral: {neutral} of {len(found.priors)} pairs.",
        f"Fleiss' kappa: {kappas}." if kappas else "",
        f"Names that may mean one class: {spellings}." if spellings else "",
        f"Without a usable answer: {len(found.failures)}." if found.failures else "",
    ]
    return " ".join(part for part in parts if part)
