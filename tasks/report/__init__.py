"""One page that tells a person what was found.

In:    everything that the study made.
Out:   `Report`.
First: `page.py`; the page's looks are in `templates/`.
"""

from curette.tasks.stage import Stage

STAGE = Stage("report", __doc__, after="evaluate", settings=("report",), makes="report")
