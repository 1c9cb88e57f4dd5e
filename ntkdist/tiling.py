"""How an n×n symmetric matrix is cut into tiles: any n, any tile size, ragged last row and column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Tile = tuple[int, int]
# Some minutes of one core.
_FLOPS_PER_TILE = 2e12


@dataclass(frozen=True)
class Tiling:
    """The lower-triangle tiles of an n×n matrix with ``tile`` rows and columns each (the last may be smaller)."""

    n: int
    tile: int

    def __post_init__(self) -> None:
        assert self.n >= 1
        assert self.tile >= 1

    @property
    def bands(self) -> int:
        """Number of tile rows."""
        return -(-self.n // self.tile)

    @property
    def count(self) -> int:
        """Number of tiles i ≥ j."""
        return self.bands * (self.bands + 1) // 2

    def rows(self, i: int) -> slice:
        """Rows (or columns) of tile row ``i``."""
        return slice(i * self.tile, min(self.n, (i + 1) * self.tile))

    def columns(self, j: int) -> slice:
        """Columns of tile column ``j``."""
        return self.rows(j)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the matrix."""
        return (self.n, self.n)

    @property
    def blocks(self) -> tuple[int, int]:
        """Number of tile rows and of tile columns."""
        return (self.bands, self.bands)

    @property
    def block_shape(self) -> tuple[int, int]:
        """Shape of a whole tile."""
        return (self.tile, self.tile)

    def size(self, i: int) -> int:
        """Number of rows of tile row ``i``."""
        return min(self.n, (i + 1) * self.tile) - i * self.tile

    def entries(self, i: int, j: int) -> int:
        """Number of entries of tile (i, j)."""
        return self.size(i) * self.size(j)

    def __iter__(self) -> Iterator[Tile]:
        """All tiles of the lower triangle, longest bands first, so that the last to finish are short."""
        for i in reversed(range(self.bands)):
            for j in range(i + 1):
                yield i, j

    def stored_entries(self) -> int:
        """Entries held by the lower tiles (diagonal tiles are held whole)."""
        return sum(self.entries(i, j) for i, j in self)


@dataclass(frozen=True)
class Grid:
    """All blocks of a rectangular array with ``tall`` rows and ``wide`` columns each (the last may be smaller)."""

    n: int
    m: int
    tall: int
    wide: int

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the array."""
        return (self.n, self.m)

    @property
    def blocks(self) -> tuple[int, int]:
        """Number of block rows and of block columns."""
        return (-(-self.n // self.tall), -(-self.m // self.wide))

    @property
    def block_shape(self) -> tuple[int, int]:
        """Shape of a whole block."""
        return (self.tall, self.wide)

    def rows(self, i: int) -> slice:
        """Rows of block row ``i``."""
        return slice(i * self.tall, min(self.n, (i + 1) * self.tall))

    def columns(self, j: int) -> slice:
        """Columns of block column ``j``."""
        return slice(j * self.wide, min(self.m, (j + 1) * self.wide))

    def __iter__(self) -> Iterator[Tile]:
        """All blocks, row by row."""
        tall, wide = self.blocks
        return ((i, j) for i in range(tall) for j in range(wide))


def auto_tile(n: int, workers: int = 1, work_per_entry: float = 0.0) -> int:
    """Choose a tile size: large enough for GEMM, small enough that every worker has several tiles.

    Tiles of 2,048 hold 32 MiB in float64: they keep the cores busy without crowding a worker's memory; beyond
    a million rows 4,096 keeps the number of tiles (and of files) down. ``work_per_entry`` (flops) makes tiles of
    expensive kernels smaller, so that an interrupted or lost tile costs minutes and not days.
    """
    affordable = int((_FLOPS_PER_TILE / work_per_entry) ** 0.5) if work_per_entry > 0 else n
    if affordable < 2048:
        return max(1, min(_cheap_tile(n, workers), max(32, affordable // 32 * 32)))
    return _cheap_tile(n, workers)


def _cheap_tile(n: int, workers: int) -> int:
    if n > 1_000_000:
        return 4096
    bands = max(4, 2 * workers)
    size = -(-n // bands)
    return max(1, min(2048, max(128, -(-size // 64) * 64), n))
