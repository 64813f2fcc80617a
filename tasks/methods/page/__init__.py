"""HTML pages for people: one file, every text escaped, no request, no script but our own.

First: `render.py`; `templates/frame.html.j2` is what every page looks like, `decision.py` and the
template of its name one decision, concept by concept.
"""
