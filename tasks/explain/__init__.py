"""Pages about single images: why one is decided as it is, and what is decided about a folder.

No stage: nothing rests on what is made here, and it is kept nowhere, so that no image of a
patient gets into the store by being asked about.

In:    the published dataset, the head that the evaluation would be given, images with vectors.
Out:   one HTML page.
First: `page.py`; the card of one decision is the report's too, `methods/page/decision.py`.
"""
