"""Files that are masks of images, or drawn on them, told by their names."""

import posixpath
import re
from collections import defaultdict
from collections.abc import Sequence, Set

_WORDS = "masks?|segmentations?|segs?|segm|annotations?|labels?|rois?|gt|ground_?truth|contours?"
_MASK = re.compile(rf"(.+?)[ _.-]+(?:{_WORDS})(?:[ _.-]*\(?\d+\)?)?", re.IGNORECASE)
_MASK_OF = re.compile(rf"(?:{_WORDS})[ _.-]+(.+)", re.IGNORECASE)
_DRAWN = (
    "overlays?|overlaid|annotated|heat[ _-]?maps?|(?:grad[ _-]?)?cams?|outlined?|boundar(?:y|ies)|"
    "bbox(?:es)?|boxes|thumb(?:nail)?s?|previews?|predictions?"
)
_MADE_OF = re.compile(rf"(.+?)[ _.-]+(?:{_DRAWN})(?:[ _.-]*\(?\d+\)?)?", re.IGNORECASE)
_FOLDER = re.compile(rf"(?:.*[ _.-])?(?:{_WORDS}|{_DRAWN})", re.IGNORECASE)


def mask_owner(stem: str) -> str | None:
    """Return the name of the image whose mask a file of this name would be.

    `a (1)_mask`, `a (1)_mask_2`, `a (1)-segmentation` and `mask_a (1)` would be masks of `a (1)`.
    """
    found = _MASK.fullmatch(stem) or _MASK_OF.fullmatch(stem)
    return found[1] if found else None


def made_of(file: str, images: Set[str]) -> str | None:
    """Return the image of a folder that a file's name calls it an overlay or the like of.

    Args:
        file: its path.
        images: paths without their endings, casefolded.
    """
    folder, name = posixpath.split(posixpath.splitext(file)[0])
    found = _MADE_OF.fullmatch(name)
    is_there = found and posixpath.join(folder, found[1]).casefold() in images
    return found[1] if found and is_there else None


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
    """Return the folders called `masks`, `overlays` or the like with names of images elsewhere."""
    stems: dict[str, set[str]] = defaultdict(set)
    for file in files:
        stem = posixpath.splitext(posixpath.basename(file))[0]
        stems[posixpath.dirname(file)].add((mask_owner(stem) or stem).casefold())
    found = []
    for place, names in stems.items():
        if is_called_masks(posixpath.basename(place)):
            others = set().union(*(s for p, s in stems.items() if p != place))
            if len(names & others) * 2 > len(names):
                found.append(place)
    return found


def is_called_masks(folder: str) -> bool:
    """Return whether a folder's name says that it holds masks, or what is drawn on images."""
    return _FOLDER.fullmatch(folder) is not None
