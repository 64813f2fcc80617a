"""Groups of rows that must stay together, and how whole groups are dealt into parts."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from jaxtyping import Float, Int


def connected_groups(*keys: Int[np.ndarray, " row"]) -> Int[np.ndarray, " row"]:
    """Number the rows so that rows which share a key share a number.

    Sharing is transitive: with a subject in common, then a lesion, then equal bytes, far rows
    end up in one group. These are the connected components of the graph rows - keys.

    Args:
        keys: one or more columns of non-negative keys; -1 where a row has none. Equal numbers in
            different columns are different keys.

    Returns:
        For each row the lowest row number in its group. O(n log n) for n rows.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(keys[0])
    ends = [np.flatnonzero(key >= 0) for key in keys]
    offsets = np.cumsum([count, *(key.max(initial=-1) + 1 for key in keys)])
    pairs = zip(keys, ends, offsets[:-1], strict=True)
    tokens = np.concatenate([key[rows] + offset for key, rows, offset in pairs])
    rows = np.concatenate(ends)
    size = int(offsets[-1])
    graph = coo_array((np.ones(len(rows), np.int8), (rows, tokens)), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    _, first, group = np.unique(component[:count], return_index=True, return_inverse=True)
    return first[group].astype(np.int64)


def deal_groups(
    group: Int[np.ndarray, " row"],
    label: Int[np.ndarray, " row"],
    shares: Float[np.ndarray, " part"],
    seed: int,
) -> Int[np.ndarray, " row"]:
    """Deal whole groups into parts, each class as near as possible to its share of each part.

    With n_pk the rows of class k in part p, n_p = sum_k n_pk, and w their wanted values
    (w_pk = shares[p] * rows of class k), groups are dealt one by one, those that are a large
    share of a class first, each to the part where it adds least to

        sum_pk (n_pk - w_pk)^2 / w_pk  +  sum_p (n_p - w_p)^2 / w_p.

    Then a class that misses a part gets there by moving its smallest group that nobody needs
    where it is. A class in j groups reaches the first j parts, in their order; that always
    succeeds for groups of one class, and nearly always for mixed ones.

    Args:
        group: rows with the same number are never parted.
        label: class of each row, 0, 1, ...
        shares: wanted share of each part, most important part first; they sum to 1.
        seed: decides between groups that are alike; another seed gives another deal.

    Returns:
        The part of each row: 0, 1, ... The rows' order decides nothing beyond the numbering of
        groups. O(n log n) for n rows.
    """
    _, group = np.unique(group, return_inverse=True)
    deal = _Deal(_Compositions(group, label), shares)
    for g in deal.compositions.order(seed):
        deal.place(g, deal.cheapest_part(g))
    deal.repair()
    return np.array(deal.part, dtype=np.int64)[group]


class _Compositions:
    """How many rows of which class each group has."""

    def __init__(self, group: Int[np.ndarray, " row"], label: Int[np.ndarray, " row"]) -> None:
        classes = int(label.max()) + 1
        pairs, counts = np.unique(group * classes + label, return_counts=True)
        owner, of_class = np.divmod(pairs, classes)
        self.groups = int(group.max()) + 1
        self.class_rows = np.bincount(label, minlength=classes)
        self.sizes = np.bincount(group).tolist()
        self._starts = np.searchsorted(owner, np.arange(self.groups))
        self._largest_share = np.maximum.reduceat(counts / self.class_rows[of_class], self._starts)
        ends = [*self._starts[1:].tolist(), len(pairs)]
        found = list(zip(of_class.tolist(), counts.tolist(), strict=True))
        self.classes = [found[a:b] for a, b in zip(self._starts.tolist(), ends, strict=True)]

    def order(self, seed: int) -> list[int]:
        """Return the groups, large shares of a class first, in random order where alike."""
        shuffled = np.random.default_rng(seed).permutation(self.groups)
        ranked = np.argsort(-self._largest_share[shuffled], kind="stable")
        return list(shuffled[ranked].tolist())


class _Deal:
    """Groups on their way into parts."""

    def __init__(self, compositions: _Compositions, shares: Float[np.ndarray, " part"]) -> None:
        self.compositions = compositions
        self.part = [-1] * compositions.groups
        self._parts = range(len(shares))
        self._wanted = [(share * compositions.class_rows).tolist() for share in shares]
        self._wanted_rows = [float(sum(wanted)) for wanted in self._wanted]
        self._rows_of = [[0] * len(compositions.class_rows) for _ in shares]
        self._rows = [0] * len(shares)
        self._groups_of = [[0] * len(compositions.class_rows) for _ in shares]

    def cheapest_part(self, group: int) -> int:
        """Return the part whose rows come nearest to what is wanted if it gets the group."""
        return min(self._parts, key=lambda part: self._cost(group, part))

    def _cost(self, group: int, part: int) -> float:
        # (n + m - w)^2 / w - (n - w)^2 / w = m (2 (n - w) + m) / w
        size, wanted = self.compositions.sizes[group], self._wanted_rows[part]
        cost = size * (2 * (self._rows[part] - wanted) + size) / wanted
        for k, count in self.compositions.classes[group]:
            wanted = self._wanted[part][k]
            cost += count * (2 * (self._rows_of[part][k] - wanted) + count) / wanted
        return cost

    def place(self, group: int, part: int) -> None:
        """Put a group into a part, out of the part it was in."""
        for place, sign in ((self.part[group], -1), (part, 1)):
            if place < 0:
                continue
            self._rows[place] += sign * self.compositions.sizes[group]
            for k, count in self.compositions.classes[group]:
                self._rows_of[place][k] += sign * count
                self._groups_of[place][k] += sign
        self.part[group] = part

    def repair(self) -> None:
        """Bring each class into every part that its number of groups allows."""
        reach = [
            min(sum(of[k] for of in self._groups_of), len(self._parts))
            for k in range(len(self.compositions.class_rows))
        ]
        lacking = {
            (reach[k], k, part)
            for k in range(len(reach))
            for part in range(reach[k])
            if not self._groups_of[part][k]
        }
        if not lacking:
            return
        members = defaultdict(list)
        for group, classes in enumerate(self.compositions.classes):
            for k, _ in classes:
                members[k].append(group)
        for _, k, part in sorted(lacking):
            free = [g for g in members[k] if self._is_free(g, reach)]
            if free and not self._groups_of[part][k]:
                self.place(min(free, key=lambda g: self.compositions.sizes[g]), part)

    def _is_free(self, group: int, reach: list[int]) -> bool:
        """Return whether no class needs the group where it is."""
        part = self.part[group]
        return all(
            self._groups_of[part][k] > 1 or part >= reach[k]
            for k, _ in self.compositions.classes[group]
        )
