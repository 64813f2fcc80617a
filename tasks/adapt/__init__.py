"""A trained head, adapted to another site by a few labelled images of it, or left alone.

In:    `Heads`, `ConceptDataset`, an external dataset, and the ids of 1 to 8 of its images a class.
Out:   `Adaptation`, beside the untouched `Heads`; then `AdaptationResult`, measured on the other
       images of the site, whose labels are read once the adaptation is saved and not before.
First: `support.py` says which images may be support, `heads.py` chooses; the arithmetic is in
       `methods/adaptation.py`.

No stage of a study: it is asked for by `curette adapt` alone.
"""
