"""Directions that image vectors have in common: one file a way of learning them.

A way is a function `fit(vectors, size, active, seed)` from centred vectors to a `Dictionary`, and a
line in `METHODS`. `learning.py` gives it vectors in an order of their own, `worth.py` measures what
came of it, `naming.py` looks for statements that say what a direction shows.
"""

from typing import Final

from curette.tasks.methods.dictionaries import ica, kmeans, nmf, ra_sae, topk_sae
from curette.tasks.methods.dictionaries.dictionary import Fit

METHODS: Final[dict[str, Fit]] = {
    "kmeans": kmeans.fit,
    "topk_sae": topk_sae.fit,
    "ra_sae": ra_sae.fit,
    "nmf": nmf.fit,
    "ica": ica.fit,
}
"""By their names in `propose.sources`."""
