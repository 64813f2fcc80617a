"""New images held against those that a head learned from: what differs, and what it costs.

No stage: nothing rests on it, and no label of the new images is read.

In:    a concept dataset, a head, the new images' vectors.
Out:   `schemas.drift.DriftFacts`, and one HTML page.
First: `comparing.py`, which finds the differences; `page.py` words them.
"""
