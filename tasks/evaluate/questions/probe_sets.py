"""Would other labelled images have taught the same concept directions?"""

from functools import partial

import numpy as np
import torch
from jaxtyping import Float64

from curette.schemas.heads import REFERENCE
from curette.schemas.metrics import Estimate
from curette.schemas.questions.probe_sets import ProbeSetConcept, ProbeSets
from curette.tasks.evaluate.exam import Exam
from curette.tasks.methods.solvers.linear import global_standardisation
from curette.tasks.methods.statistics.direction_stability import learn_from_halves

SPLITS = 20


def measure(exam: Exam) -> ProbeSets:
    """Return how far each direction that labels taught depends on the images that had them.

    Test images are looked at without their labels: what a direction adds on each. Strengths stay
    as they were chosen on all training images.
    """
    grounded = (h for h in exam.probe.heads if h.facts.kind == "grounded")
    head = next(grounded, None)
    if head is None or head.directions is None:
        return ProbeSets(
            not_computable="no concept has a direction of its own that labelled images taught"
        )
    published = exam.published
    order = {c.concept_id: place for place, c in enumerate(published.concepts)}
    taught = [order[g.concept_id] for g in exam.probe.grounding]
    own = {c.concept_id: place for place, c in enumerate(head.facts.candidates)}
    whole = head.directions[[own[g.concept_id] for g in exam.probe.grounding]].astype(np.float64)

    rows = published.rows("train")
    vectors = published.vectors[rows].astype(np.float64)
    features = torch.from_numpy(vectors)
    truth = published.concept_truth("train")
    groups = published.images["group"].to_numpy()[rows]

    learn = partial(
        learn_from_halves,
        global_standardisation(features).apply(features),
        truth.present[:, taught],
        truth.known[:, taught],
        groups,
        [g.l2 for g in exam.probe.grounding],
        SPLITS,
        exam.spec.seed,
    )
    halved = learn()
    images = published.vectors[exam.rows].astype(np.float64) - vectors.mean(0)
    logits = exam.probe.head(REFERENCE).weights
    told = zip(
        exam.probe.grounding,
        halved.cosines.T,
        learn(dealt_anew=True).cosines.T,
        halved.changed_signs(whole, images).T,
        halved.changed_signs(whole, logits - logits.mean(0)).T,
        strict=True,
    )
    return ProbeSets(
        splits=SPLITS,
        images=len(rows),
        groups=len(np.unique(groups)),
        concepts=tuple(
            ProbeSetConcept(
                concept_id=concept.concept_id,
                text=concept.text,
                cosine=_over(cosine),
                by_chance=_over(chance),
                contributions=_over(contributions),
                sensitivity=_over(sensitivity),
            )
            for concept, cosine, chance, contributions, sensitivity in told
            if not np.isnan(cosine).all() and not np.isnan(chance).all()
        ),
    )


def _over(splits: Float64[np.ndarray, " split"]) -> Estimate:
    """Return the mean over the splits that taught the concept, and the range of 95 % of them."""
    low, high = np.nanpercentile(splits, (2.5, 97.5))
    return Estimate(value=float(np.nanmean(splits)), low=float(low), high=float(high))
