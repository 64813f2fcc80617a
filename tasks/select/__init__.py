"""Concepts are chosen, discriminative and diverse, from training images alone.

In:    `ScreenedSet` and the vectors of its texts and of training images.
Out:   `ConceptSet`, each class's picks with their certificate.
First: `task.py`; the choice itself is `methods/selection/labo.py`, which few shots and shifts
       share.
"""

from curette.tasks.stage import Stage

STAGE = Stage("select", __doc__, after="priors", settings=("select",), makes="concepts")
