"""A finished study as pages that are served to one person on this machine.

No stage: nothing rests on what is shown. What a person decides here goes to the study's decisions,
as from a review sheet.

In:    the published dataset, its screened and selected concepts with the vectors of their texts,
       the explained head, the evaluation's word on test images, the report.
Out:   pages at 127.0.0.1, for whoever has the address.
First: `view.py` (what there is to see), then `pages.py`; `site.py` answers, `guard.py` says whom.
"""
