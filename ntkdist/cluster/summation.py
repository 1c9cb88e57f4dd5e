"""The order in which partial products are summed, fixed by the tiling alone.

The tiles are cut into runs ("leaves", a power of two of them), each summed from its first tile to its last; leaves
are joined pairwise by a binary tree. Whoever computes a leaf, on however many threads or workers and whichever
finishes first, the additions are the same, so the same V gives the same bits.

Tiles come longest band first, so a leaf reaches rows 0 … ``stop`` only, and a later leaf never reaches further than
an earlier one: partial sums are kept that short.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.linalg import accumulate_lower_tile
from ntkdist.tiling import Tile, Tiling

Array = NDArray[Any]
Node = tuple[int, int]
_MOST_LEAVES = 1024


def leaves(tiling: Tiling) -> list[list[Tile]]:
    """The runs of tiles that are summed one after the other; their number is a power of two."""
    tiles = list(tiling)
    wanted = min(2 * tiling.bands, len(tiles), _MOST_LEAVES)
    count = 1 << (wanted.bit_length() - 1)
    cuts = [k * len(tiles) // count for k in range(count + 1)]
    return [tiles[a:b] for a, b in pairwise(cuts)]


def leaf_product(tiling: Tiling, tiles: Iterable[tuple[Tile, Array]], stop: int, v: Array) -> Array:
    """Σ of one leaf: K_ij V_j into rows i and K_ijᵀ V_i into rows j, (stop, s) float64.

    ``tiles`` gives each tile of the leaf in order; ``stop`` is the end of its first band; V is (n, s) float64.
    """
    out = np.zeros((stop, v.shape[1]))
    for (i, j), tile in tiles:
        rows, cols = tiling.rows(i), tiling.rows(j)
        accumulate_lower_tile(tile, v[rows], v[cols], out[rows], None if i == j else out[cols])
    return out


def join(left: Array, right: Array) -> Array:
    """Add a later partial sum to an earlier one, in place."""
    left[: len(right)] += right
    return left


def nodes_over(leaf_numbers: Iterable[int]) -> list[Node]:
    """The largest whole subtrees, as (level, index), that cover exactly these leaves."""
    present = {(0, k) for k in leaf_numbers}
    whole: list[Node] = []
    while present:
        above: set[Node] = set()
        for level, k in present:
            if (level, k ^ 1) in present:
                above.add((level + 1, k // 2))
            else:
                whole.append((level, k))
        present = above
    return sorted(whole, key=lambda node: node[1] << node[0])


def leaves_under(node: Node) -> range:
    """The leaves of a subtree."""
    level, k = node
    return range(k << level, (k + 1) << level)


class PairwiseSum:
    """Joins partial sums to the sum of the subtree ``top``, in the fixed order, as they arrive; thread-safe."""

    def __init__(self, top: Node) -> None:
        self._top = top
        self._waiting: dict[Node, Array] = {}
        self._lock = threading.Lock()
        self.total: Array | None = None

    def add(self, node: Node, part: Array) -> None:
        """Take the sum of a subtree; ``part`` is consumed."""
        while node != self._top:
            level, k = node
            with self._lock:
                other = self._waiting.pop((level, k ^ 1), None)
                if other is None:
                    self._waiting[node] = part
                    return
            part = join(other, part) if k % 2 else join(part, other)
            node = (level + 1, k // 2)
        self.total = part
