"""One page about the studies of several findings on the same images.

In:    of each finding its `ImageDataset`, `ConceptDataset`, `Heads` and `TestLabels`, whose reading
       was written down first.
Out:   `Findings`: what the heads are worth at each, their mean over findings, and which findings
       meet in training images.
First: `measuring.py` has the numbers, `page.py` words them.

No stage of a study, since it rests on several: `curette run` makes it last.
"""
