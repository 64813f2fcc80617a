"""Files that are masks of images, told by their names."""

import posixpath
import re
from collections import defaultdict
from collections.abc import Sequence

_WORDS = "masks?|segmentations?|segs?|segm|annotations?|labels?|rois?|gt|ground_?truth|contours?"
_MASK = re.compile(rf"(.+?)[ _.-]+(?:{_WORDS})(?:[ _.-]*\(?\d+\)?)?", re.IGNORECASE)
_FOLDER = re.compile(rf"(?:.*[ _.-])?(?:{_WORDS})", re.IGNORECASE)


def mask_owner(stem: str) -> str | None:
    """Return the name of the image whose mask a file of this name would be.

    `a (1)_mask`, `a (1)_mask_2` and `a (1)-segmentation` would be masks of `a (1)`.
    """
    found = _MASK.fullmatch(stem)
    return found[1] if found else None


def masks_beside(files: Sequence[str]) -> dict[str, list[str]]:
    """Return image -> the files of its folder that are named like it and `_mask` or the like."""
    stems: dict[str, list[str]] = defaultdict(list)
    for file in files:
        stems[posixpath.splitext(file)[0].casefold()].append(file)
    found = defaultdict(list)
    for file in files:
        folder, name = posixpath.split(posixpath.splitext(file)[0])
        owner = mask_owner(name)
        if owner is not None:
            images = stems.get(posixpath.join(folder, owner).casefold(), [])
            if len(images) == 1 and images[0] != file:
                found[images[0]].append(file)
    return dict(found)


def mask_folders(files: Sequence[str]) -> list[str]:
    """Return the folders called `masks` or the like whose files are named like images elsewhere."""
    stems: dict[str, set[str]] = defaultdict(set)
    for file in files:
        stem = posixpath.splitext(posixpath.basename(file))[0]
        stems[posixpath.dirname(file)].add((mask_owner(stem) or stem).casefold())
    found = []
    for place, names in stems.items():
        if _FOLDER.fullmatch(posixpath.basename(place)):
            others = set().union(*(s for p, s in stems.items() if p != place))
            if len(names & others) * 2 > len(names):
                found.append(place)
    return found
