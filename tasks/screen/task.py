"""The screen stage: which candidates may be selected, and why the others may not."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32

from curette.schemas.artifact import Ref, StudyError
from curette.schemas.candidates import CandidateSet
from curette.schemas.embeddings import ImageEmbeddings, StudyEmbeddings, TextEmbeddings
from curette.schemas.images import ImageDataset
from curette.schemas.llm import Usage
from curette.schemas.screened import JudgeReport, ScreenedSet
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.settings.screen import ScreenSpec
from curette.storage.responses import ResponseShelf
from curette.storage.store import ArtifactStore
from curette.tasks.methods.llm.asking import Answered, Question, ask, usage_of
from curette.tasks.methods.llm.embedding import embed_texts_remotely, embedding_usage
from curette.tasks.screen import STAGE
from curette.tasks.screen.gate import Asking, Circumstances, Embedding
from curette.tasks.screen.screening import require_every_class, screen
from curette.tasks.screen.training import training_images
from curette.tasks.stage import Workplace, leave_table, progress

_SHOWN = 500  # rows of a table in the UI; the artifact holds all


@STAGE.task
def screen_concepts(
    at: Workplace,
    dataset: Ref[ImageDataset],
    candidates: Ref[CandidateSet],
    embeddings: Ref[StudyEmbeddings],
    spec: ScreenSpec,
    llm: LlmSpec | None,
) -> Ref[ScreenedSet]:
    """Drop candidates that leak a class, cannot be seen or repeat each other, with reasons.

    Raises:
        StudyError: a class lost all its candidates (the screened set was saved first), or a judge
            is asked for and the study has no language model, or the server fails.
    """
    images, proposed = at.store.load(ImageDataset, dataset), at.store.load(CandidateSet, candidates)
    made = at.store.load(StudyEmbeddings, embeddings)
    server = _server(spec, llm)
    known = Circumstances(
        classes=images.classes,
        texts=at.store.load(TextEmbeddings, made.texts_ref),
        images=training_images(images, at.store.load(ImageEmbeddings, made.images_ref))
        if spec.needs_images
        else None,
        ask=_asking(server, proposed.usage, at.store) if server else None,
        attributes=images.attribute_phrases,
        embed=_embedding(server, proposed.usage, at.store) if server else None,
    )
    screened = screen(proposed, known, spec)
    ref = at.store.save(screened, STAGE.recipe())
    _leave_tables(screened, ref)
    require_every_class(screened, images.classes, ref)
    return ref


def _server(spec: ScreenSpec, llm: LlmSpec | None) -> LlmSpec | None:
    """Return the server that the gates ask; None where none asks.

    Raises:
        StudyError: a gate asks, and the study names no language model.
    """
    asking = [gate.kind for gate in spec.gates if gate.asks]
    if asking and llm is None:
        raise StudyError(
            f"screen.{asking[0]} asks a language model, and the study names none: add `llm`, or "
            f"leave `{asking[0]}` out of `screen`"
        )
    return llm if asking else None


def _asking(llm: LlmSpec, spent: Usage, store: ArtifactStore) -> Asking:
    """Return how the judge is asked."""

    def put(questions: Sequence[Question[Any]]) -> tuple[list[Answered[Any]], Usage]:
        with progress("asking the judge", len(questions)) as advance:
            answered = ask(questions, llm, ResponseShelf(store.root), spent, advance)
        return answered, usage_of(answered, llm)

    return put


def _embedding(llm: LlmSpec, spent: Usage, store: ArtifactStore) -> Embedding:
    """Return how sentences become vectors at the server."""

    def read(texts: Sequence[str], model: str) -> tuple[Float32[np.ndarray, "text dim"], Usage]:
        shelf = ResponseShelf(store.root)
        vectors = embed_texts_remotely(texts, model, llm, shelf, spent)
        return vectors.astype(np.float32), embedding_usage(texts, model, llm, shelf)

    return read


def _leave_tables(screened: ScreenedSet, ref: Ref[ScreenedSet]) -> None:
    """Show in the Prefect UI what was dropped and why, what was kept, and what is doubtful."""
    counts = Counter(d.gate for d in screened.dropped)
    by_gate = ", ".join(f"{counts[gate]} by {gate}" for gate in screened.gates)
    leave_table(
        "screen-dropped",
        [
            {
                "concept": d.candidate.text,
                "gate": d.gate,
                "reason": d.reason,
                "classes": ", ".join(d.candidate.classes),
            }
            for d in screened.dropped[:_SHOWN]
        ],
        f"{len(screened.dropped)} concepts dropped ({by_gate}); the first {_SHOWN}, all in {ref}",
    )
    texts = {c.concept_id: c.text for c in screened.kept}
    texts |= {d.candidate.concept_id: d.candidate.text for d in screened.dropped}
    members = {f.concept_id: [texts[m] for m in f.members] for f in screened.families}
    leave_table(
        "screen-kept",
        [
            {
                "concept": c.text,
                "classes": ", ".join(c.classes),
                "stands for": "; ".join(members.get(c.concept_id, [])),
            }
            for c in screened.kept[:_SHOWN]
        ],
        f"{len(screened.kept)} concepts kept; the first {_SHOWN}, all in {ref}",
    )
    doubtful: list[dict[str, object]] = [
        {"concept": texts[u.concept_id], "gate": u.gate, "sure": f"{u.sure:.2f}", "why": u.why}
        for u in screened.unsure
    ]
    warned: list[dict[str, object]] = [
        {
            "concept": "; ".join(texts[i] for i in flag.concept_ids),
            "gate": flag.gate,
            "sure": "",
            "why": flag.warning,
        }
        for flag in screened.flags
    ]
    leave_table(
        "screen-unsure",
        [*doubtful, *warned][:_SHOWN],
        f"{len(doubtful)} concepts that a gate was not sure of, the least sure first, and "
        f"{len(warned)} warnings; the first {_SHOWN}, all in {ref}",
    )
    if screened.judge:
        _leave_judge(screened.judge, ref)


def _leave_judge(judge: JudgeReport, ref: Ref[ScreenedSet]) -> None:
    """Show in the Prefect UI whether the judge is believed, and where it went wrong."""
    leave_table(
        "screen-judge",
        [
            {
                "statement": v.text,
                "judge": v.judge.replace("_", " "),
                "rules": v.rules.replace("_", " "),
                "yes": v.yes,
                "no": v.no,
                "asked": v.asked,
                "visible with probability": "not known"
                if (by := judge.likely(v)) is None
                else f"{by.mean:.2f} [{by.low:.2f}, {by.high:.2f}]",
            }
            for v in judge.judged[:_SHOWN]
        ],
        f"{judge.verdict}. Agreement of the votes beyond chance: "
        f"{'undefined' if judge.kappa is None else f'{judge.kappa:.2f}'}; "
        f"{len(judge.problems)} requests without a usable answer; the first {_SHOWN}, all in {ref}",
    )
