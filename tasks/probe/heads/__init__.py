"""Every kind of head that is trained: a file of its name, and its card in `schemas/heads.py`.

`fit(draws)` trains one head a draw, all of them together, and raises `NotTrainable` where these
images or concepts cannot give it. All images are one draw, so there is no other way to train.
`at_nec(draws, which, number)` trains one draw's head at a number of effective concepts.
"""

from collections.abc import Callable
from importlib import import_module

from curette.schemas.heads import CARDS
from curette.tasks.probe.draws import Draws, Fitted

_FILES = {
    kind: import_module(f"{__name__}.{kind}") for kind, card in CARDS.items() if card.protocols
}

TRAINERS: dict[str, Callable[[Draws], Fitted]] = {
    kind: file.fit for kind, file in _FILES.items() if hasattr(file, "fit")
}
AT_NEC: dict[str, Callable[[Draws, int, int], Fitted]] = {
    kind: file.at_nec for kind, file in _FILES.items() if hasattr(file, "at_nec")
}
