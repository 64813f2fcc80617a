"""The small datasets that tests of several stages start from, each built in one place.

From the source on: `images` and `embedding` (a few images), `screened` (concepts that gates kept
and dropped), `small_study` (one artifact of every stage up to the index), `published_study` (a
concept dataset with test labels), `annotations` (of its reports), `demo` and `finished` (a whole
study, run).
"""
