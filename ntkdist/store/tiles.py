"""The Gram matrix on disk: one Zarr chunk per lower-triangle tile, believed only with its receipt.

The array ``gram`` has NaN as fill value and writes every chunk, so an absent chunk can never pass for zeros. A tile
is written by whoever computed it (a worker, anywhere); its receipt is written afterwards by the one driver that
holds the store's lock. A reader asks for the receipt first and compares the checksum at the tile's first read in
its process.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from ntkdist.errors import ChecksFailed
from ntkdist.moments import _checkpoint
from ntkdist.store.durable import disk_errors, sync_file
from ntkdist.store.receipts import FIELDS, Receipt, checksum
from ntkdist.tiling import Tile, Tiling

Array = NDArray[np.floating[Any]]


def create_tiles(group: zarr.Group, tiling: Tiling, storage: str) -> None:
    """Create the arrays ``gram`` and ``receipts`` in an empty run store."""
    group.create_array(
        "gram",
        shape=(tiling.n, tiling.n),
        chunks=(tiling.tile, tiling.tile),
        dtype=storage,
        fill_value=float("nan"),
        compressors=None,
        config={"write_empty_chunks": True},
        dimension_names=("row", "column"),
        attributes={"triangle": "lower: only tiles i >= j are stored; mirror to read the others"},
    )
    group.create_array(
        "receipts",
        shape=(tiling.bands, tiling.bands, len(FIELDS)),
        chunks=(1, tiling.bands, len(FIELDS)),
        dtype="float64",
        fill_value=0.0,
        compressors=None,
        dimension_names=("tile_row", "tile_column", "field"),
        attributes={"fields": list(FIELDS)},
    )


class TileStore:
    """Read and write the tiles of one store; cheap to construct, so that every worker makes its own."""

    def __init__(self, root: str | Path, tiling: Tiling) -> None:
        self.root = Path(root)
        self.tiling = tiling
        group = zarr.open_group(self.root, mode="r+" if _writable(self.root) else "r", zarr_format=3)
        self._gram: zarr.Array[Any] = _array(group, "gram")
        # Without this, a tile of NaN (the fill value) would be dropped instead of written.
        self._gram = self._gram.with_config({"write_empty_chunks": True})
        self._receipts: zarr.Array[Any] = _array(group, "receipts")
        self._records: NDArray[np.float64] = np.asarray(self._receipts[:])
        self._verified: set[Tile] = set()

    @property
    def dtype(self) -> np.dtype[Any]:
        """The storage precision."""
        return np.dtype(self._gram.dtype)

    def write(self, i: int, j: int, tile: Array, seconds: float, worker: int = 0) -> Receipt:
        """Write tile (i, j) durably and return its receipt, which is *not* yet recorded."""
        assert tile.shape == (self.tiling.size(i), self.tiling.size(j))
        with np.errstate(over="ignore"):  # refused below, with a sentence
            stored = np.ascontiguousarray(tile, dtype=self.dtype)
        if not np.isfinite(stored).all():
            raise ChecksFailed(
                f"Tile ({i}, {j}) holds a value that is not finite in {self.dtype}; the kernel overflows on rows "
                f"{self.tiling.rows(i).start} to {self.tiling.rows(i).stop - 1}: rescale the inputs or choose a "
                "smaller sigma_w."
            )
        rounding = 0.0
        if stored.dtype != tile.dtype:
            rounding = float(np.sum((tile - stored.astype(tile.dtype)) ** 2, dtype=np.float64))
        with disk_errors(self.root):
            self._gram[self.tiling.rows(i), self.tiling.rows(j)] = stored
            _checkpoint("tile.written", i, j)
            sync_file(self.chunk_path(i, j))
        return Receipt(i, j, checksum(stored), float(stored.min()), float(stored.max()), rounding, seconds, worker)

    def record(self, receipts: Iterable[Receipt]) -> None:
        """Make tiles finished: write their receipts (driver only, under the store's lock)."""
        bands = set()
        for receipt in receipts:
            self._records[receipt.i, receipt.j] = receipt.record()
            bands.add(receipt.i)
        with disk_errors(self.root):
            for band in sorted(bands):
                _checkpoint("receipt.before", band)
                self._receipts[band] = self._records[band]
                sync_file(self.root / "receipts" / "c" / str(band) / "0" / "0")
                _checkpoint("receipt.written", band)

    def forget(self, tiles: Iterable[Tile]) -> None:
        """Withdraw receipts, so that the tiles count as missing."""
        for i, j in tiles:
            self._records[i, j] = 0.0
            self._receipts[i] = self._records[i]

    def receipt(self, i: int, j: int) -> Receipt | None:
        """The receipt of tile (i, j), or None while it is not finished."""
        return Receipt.from_record(i, j, self._records[i, j])

    def receipts(self) -> list[Receipt]:
        """All valid receipts."""
        found = (self.receipt(i, j) for i, j in self.tiling)
        return [r for r in found if r is not None]

    def missing(self) -> list[Tile]:
        """Tiles without a valid receipt, in the order in which they should be computed."""
        return [(i, j) for i, j in self.tiling if self.receipt(i, j) is None]

    def read(self, i: int, j: int, *, always_verify: bool = False) -> Array:
        """Read tile (i, j), i ≥ j, checked against its receipt at its first read in this process.

        Raises
        ------
        ChecksFailed
            The tile has no receipt, its bytes do not match it, or its chunk is damaged.
        """
        receipt = self.receipt(i, j)
        if receipt is None:
            raise ChecksFailed(f"Tile ({i}, {j}) of {self.root} is not computed yet; run the Gram stage first.")
        damaged = f"Tile ({i}, {j}) of {self.root} is damaged; `ntkdist verify --repair` recomputes it."
        if not self.chunk_path(i, j).exists():
            raise ChecksFailed(damaged)
        try:
            tile: Array = np.asarray(self._gram[self.tiling.rows(i), self.tiling.rows(j)])
        except (ValueError, OSError, RuntimeError) as error:
            raise ChecksFailed(damaged) from error
        if always_verify or (i, j) not in self._verified:
            if checksum(tile) != receipt.checksum:
                raise ChecksFailed(damaged)
            self._verified.add((i, j))
        return tile

    def chunk_path(self, i: int, j: int) -> Path:
        """The file that holds tile (i, j)."""
        return self.root / "gram" / "c" / str(i) / str(j)


def _array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    array = group[name]
    assert isinstance(array, zarr.Array)
    return array


def _writable(root: Path) -> bool:
    return os.access(root, os.W_OK)
