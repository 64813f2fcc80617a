"""Draws parted so that several machines train on them, and their heads put together again.

What is trained together in one place stays together, so that every number is the same.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, groupby

import numpy as np

from curette.schemas.draws import Draws
from curette.schemas.probe import Heads, HeadStack


def shards(draws: Draws) -> list[Draws]:
    """Return few shots by their number of images, whose heads are trained together; else each."""
    few = draws.protocol == "few shots"
    groups = (
        [list(of_size) for _, of_size in groupby(draws.draws, key=lambda draw: draw.shots)]
        if few
        else [[draw] for draw in draws.draws]
    )
    return [draws.model_copy(update={"draws": tuple(group)}) for group in groups]


def joined(parts: Sequence[Heads]) -> Heads:
    """Return the heads that all draws together would have trained.

    Of a stack a head that one part could not train is left out, with that part's reason.

    Args:
        parts: of `shards`, in their order.
    """
    first, drawn = parts[0], tuple(draw for part in parts for draw in part.draws)
    if not first.stack.kinds:
        before = accumulate((len(part.draws) for part in parts), initial=0)
        placed = list(zip(before, parts, strict=False))
        return replace(
            first,
            draws=drawn,
            heads=tuple(h.on(at + h.facts.trained_on) for at, part in placed for h in part.heads),
            skipped=tuple(s.on(at + s.trained_on) for at, part in placed for s in part.skipped),
        )
    skipped = {s.kind: s for part in reversed(parts) for s in reversed(part.skipped)}
    order = dict.fromkeys(s.kind for part in parts for s in part.skipped)
    kinds = tuple(kind for kind in first.stack.kinds if kind not in skipped)
    rows = [[part.stack.kinds.index(kind) for kind in kinds] for part in parts]
    of_kinds = list(zip(parts, rows, strict=True))
    stack = HeadStack(
        kinds=kinds,
        weights=np.concatenate([part.stack.weights[:, row] for part, row in of_kinds]),
        bias=np.concatenate([part.stack.bias[:, row] for part, row in of_kinds]),
    )
    left_out = tuple(skipped[kind] for kind in order)
    return replace(first, draws=drawn, skipped=left_out, stack=stack)
