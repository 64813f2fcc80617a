"""Classes in a tree: which belong together, so that some mistakes are smaller than others."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator


def _check_tree(tree: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Refuse what is no tree.

    Raises:
        ValueError: a branch is empty, something is in two branches, or a branch is in itself.
    """
    above: dict[str, str] = {}
    for branch, members in tree.items():
        if not members:
            raise ValueError(f"branch {branch!r} is empty; name its classes, or leave it out")
        for member in members:
            if member in above:
                raise ValueError(
                    f"{member!r} is in {above[member]!r} and in {branch!r}; leave it in one"
                )
            above[member] = branch
    for branch in tree:
        seen, place = {branch}, above.get(branch)
        while place is not None:
            if place in seen:
                raise ValueError(f"branch {branch!r} is, by way of its members, in itself")
            seen.add(place)
            place = above.get(place)
    return tree


Taxonomy = Annotated[dict[str, tuple[str, ...]], AfterValidator(_check_tree)]
"""Branch -> its members: class keys, or other branches."""


def levels_of(tree: Mapping[str, Sequence[str]], keys: Sequence[str]) -> list[list[str]]:
    """Return what each class is called at each level, from the top branches to the classes.

    What lies less deep than the deepest class, such as a class that is in no branch, stands for
    itself from there on. Every level parts all that the level above it parts.

    Raises:
        ValueError: a member is neither a class nor a branch, a branch is called like a class, or
            the top level tells no two classes apart.
    """
    above = {member: branch for branch, members in tree.items() for member in members}
    known = ", ".join(keys)
    if strange := sorted(set(above) - set(tree) - set(keys)):
        raise ValueError(f"{', '.join(strange)} is neither a class ({known}) nor a branch")
    if taken := sorted(set(tree) & set(keys)):
        raise ValueError(f"{', '.join(taken)} is a class and cannot be a branch too; rename it")
    paths = []
    for key in keys:
        path = [key]
        while path[0] in above:
            path.insert(0, above[path[0]])
        paths.append(path)
    depth = max(map(len, paths))
    levels = [[path[min(level, len(path) - 1)] for path in paths] for level in range(depth)]
    if len(set(levels[0])) < 2:
        raise ValueError(
            f"branch {levels[0][0]!r} holds every class, so that no mistake is ever across "
            "branches; leave that branch out and begin with those below it"
        )
    return levels
