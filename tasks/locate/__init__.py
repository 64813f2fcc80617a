"""Where in test images with a lesion mask each concept is seen.

In:    `ConceptDataset`, the images' pixels and masks; no label.
Out:   `HeatMaps`, or why there can be none.
First: `heat.py`.
"""

from curette.tasks.stage import Run, Stage

STAGE = Stage(
    "locate",
    __doc__,
    after="probe",
    settings=("encoder", "locate"),
    makes="heat-maps",
    runs=(Run(only_if="locate", on_test=True),),
)
