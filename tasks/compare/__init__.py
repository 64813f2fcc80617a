"""One page about two finished studies or more: what differs between them, and what it is worth.

No stage: nothing rests on it. Which of them is better is read off the test labels, so that whoever
chooses by this page has fitted to them; it says so.

In:    evaluations with what they rest on, the first being what the others are held against.
Out:   one HTML page.
First: `comparing.py`, which finds the differences; `page.py` words them.
"""
