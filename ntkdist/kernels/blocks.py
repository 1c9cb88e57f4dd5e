"""How a tile is cut into blocks that stay in the cache between the matrix product and the pass over it.

A block's product goes to a scratch array of fixed pitch, the pass runs there, and the result is copied to the
tile and, for a tile of rows with themselves, to its mirror image: the tile's own rows may lie a power of two
apart, which would put a whole column of a block into one cache set.  The cut depends on the shapes alone, so
a tile has the same bits whatever the thread count.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]
Item = TypeVar("Item")
# Rows and columns of a block, and rows of the strips that a block on the diagonal is cut into: small enough for
# the second-level cache where the product is cheap, large enough for the product's own blocking where it is not.
# Scratch rows are an odd number of cache lines apart, so that a column of a block spreads over all sets.
LEAN = (128, 1024, 128)
DEEP = (512, 2048, 256)
DEEP_FROM = 256
LINE = 64


@dataclass(frozen=True)
class Block:
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right`` of a tile; ``triangle`` if only columns up to
    the row's own are wanted.
    """

    top: int
    bottom: int
    left: int
    right: int
    triangle: bool

    @property
    def entries(self) -> int:
        """Number of entries the block's product has."""
        return (self.bottom - self.top) * (self.right - self.left)


def cut(n1: int, n2: int, d: int, mirrored: bool) -> list[Block]:
    """Return the blocks of an (n1, n2) tile, or of its lower triangle if ``mirrored``, largest first."""
    height, width, step = DEEP if d >= DEEP_FROM else LEAN
    blocks = []
    for top in range(0, n1, height):
        bottom = min(top + height, n1)
        for left in range(0, top if mirrored else n2, width):
            blocks.append(Block(top, bottom, left, min(left + width, top if mirrored else n2), False))
        if mirrored:
            for start in range(top, bottom, step):
                blocks.append(Block(start, min(start + step, bottom), top, min(start + step, bottom), True))
    return sorted(blocks, key=lambda block: -block.entries)


class _Scratch(threading.local):
    """Each thread's own scratch, kept between tiles."""

    flat: Array | None = None


_SCRATCH = _Scratch()


def scratch(height: int, width: int, dtype: Any) -> Array:
    """Return this thread's scratch array of ``height`` rows, uninitialised and contiguous: LLVM vectorises
    only what it knows to be so.
    """
    itemsize = np.dtype(dtype).itemsize
    pitch = (-(-width * itemsize // LINE) | 1) * LINE // itemsize
    size = height * pitch * itemsize
    if _SCRATCH.flat is None or _SCRATCH.flat.size < size:
        _SCRATCH.flat = np.empty(size, np.uint8)
    values: Array = _SCRATCH.flat[:size].view(dtype).reshape(height, pitch)
    return values


def share(work: Callable[[Item], None], items: Sequence[Item], threads: int) -> None:
    """Call ``work`` on every item, on ``threads`` threads."""
    if threads <= 1 or len(items) <= 1:
        for item in items:
            work(item)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, items):
            pass


@njit(nogil=True, error_model="numpy", cache=True)
def store(block: Any, width: int, out: Any, top: int, left: int, triangle: bool, mirrored: bool) -> None:
    """Copy the first ``width`` columns of ``block`` to their place in ``out``, and, if ``mirrored``, their
    transpose to the mirror image.
    """
    for a in range(block.shape[0]):
        columns = min(width, top + a - left + 1) if triangle else width
        out[top + a, left : left + columns] = block[a, :columns]
    if not mirrored:
        return
    for low in range(0, width, 16):
        for start in range(0, block.shape[0], 32):
            for b in range(low, min(low + 16, width)):
                first = max(start, left + b - top) if triangle else start
                for a in range(first, min(start + 32, block.shape[0])):
                    out[left + b, top + a] = block[a, b]
