"""The Gram matrix on disk: one Zarr chunk per lower-triangle tile, with its receipts.

A tile is written by whoever computed it (a worker, anywhere) and receipted by the driver; see
:mod:`ntkdist.store.chunks`.
"""

from __future__ import annotations

from pathlib import Path

import zarr

from ntkdist.store.chunks import Chunks, create_chunks
from ntkdist.tiling import Tiling


def create_tiles(group: zarr.Group, tiling: Tiling, storage: str, salt: int) -> None:
    """Create the arrays ``gram`` and ``receipts`` in an empty run store."""
    create_chunks(
        group,
        "gram",
        "receipts",
        tiling,
        storage,
        dimension_names=("row", "column"),
        attributes={"triangle": "lower: only tiles i >= j are stored; mirror to read the others", "salt": salt},
    )


class TileStore(Chunks[Tiling]):
    """The tiles of one store."""

    def __init__(self, root: str | Path, tiling: Tiling) -> None:
        super().__init__(root, "gram", "receipts", tiling)
        self.tiling = tiling

    def damaged(self, i: int, j: int) -> str:
        """The sentence for a tile that is not what its receipt says."""
        return f"Tile ({i}, {j}) of {self.root} is damaged; `ntkdist verify --repair` recomputes it."

    def not_finished(self, i: int, j: int) -> str:
        """The sentence for a tile without a receipt."""
        return f"Tile ({i}, {j}) of {self.root} is not computed yet; run the Gram stage first."

    def not_finite(self, i: int, j: int) -> str:
        """The sentence for a tile that overflows."""
        rows = self.tiling.rows(i)
        return (
            f"Tile ({i}, {j}) holds a value that is not finite in {self.dtype}; the kernel overflows on rows "
            f"{rows.start} to {rows.stop - 1}: rescale the inputs or choose a smaller sigma_w."
        )
