"""A two-dimensional array in one Zarr chunk per block, each block believed with its receipt only.

The Gram matrix, the rows in ``inputs/`` and stored test×train blocks all stand on this. The fill value is NaN and
every chunk is written, so an absent chunk can never pass for zeros. A block may be written by any process; its
receipt is written afterwards by the one driver that holds the store's lock. A reader asks for the receipt first and
compares the checksum at the block's first read in its process.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import zarr
from numpy.typing import NDArray

from ntkdist.errors import ChecksFailed
from ntkdist.moments import _checkpoint
from ntkdist.store.durable import disk_errors
from ntkdist.store.local import open_group
from ntkdist.store.receipts import FIELDS, Place, Receipt, checksum
from ntkdist.tiling import Grid, Tile, Tiling

Array = NDArray[np.floating[Any]]
RECORDS_PER_CHUNK = 64
G = TypeVar("G", Grid, Tiling)


def create_chunks(group: zarr.Group, name: str, receipts: str, grid: Grid | Tiling, dtype: str, **more: Any) -> None:
    """Create the array ``name`` and its ``receipts`` in a store; what a killed creation left is replaced."""
    shape, tall, wide = grid.shape, *grid.blocks
    group.create_array(
        name,
        shape=shape,
        chunks=grid.block_shape,
        dtype=dtype,
        fill_value=float("nan"),
        compressors=None,
        config={"write_empty_chunks": True},
        overwrite=True,
        **more,
    )
    group.create_array(
        receipts,
        shape=(tall, wide, len(FIELDS)),
        chunks=(1, RECORDS_PER_CHUNK, len(FIELDS)),
        dtype="float64",
        fill_value=0.0,
        compressors=None,
        overwrite=True,
        dimension_names=("block_row", "block_column", "field"),
        attributes={"fields": list(FIELDS)},
    )


class Chunks(Generic[G]):
    """Read and write the blocks of one such array; cheap to construct, so that every worker makes its own."""

    def __init__(self, root: str | Path, name: str, receipts: str, grid: G) -> None:
        self.root = Path(root)
        self.name = name
        self.grid: G = grid
        with disk_errors(self.root):
            group = open_group(self.root, writable=os.access(self.root, os.W_OK))
            # Without this, a block of NaN (the fill value) would be dropped instead of written.
            self._array = _array(group, name, grid.shape).with_config({"write_empty_chunks": True})
            self._receipts = _array(group, receipts, (*grid.blocks, len(FIELDS)))
        salt = self._array.attrs.get("salt", 0)
        self._salt = salt if isinstance(salt, int) else 0
        self._records: NDArray[np.float64] = self._read_records()
        self._verified: set[Tile] = set()

    @property
    def dtype(self) -> np.dtype[Any]:
        """The storage precision."""
        return np.dtype(self._array.dtype)

    def write(self, i: int, j: int, block: Array, seconds: float, worker: int = 0) -> Receipt:
        """Write block (i, j) durably and return its receipt, which is *not* yet recorded."""
        rows, columns = self.grid.rows(i), self.grid.columns(j)
        assert block.shape == self._place(i, j).shape
        with np.errstate(over="ignore"):  # refused below, with a sentence
            stored = np.ascontiguousarray(block, dtype=self.dtype)
        if not np.isfinite(stored).all():
            raise ChecksFailed(self.not_finite(i, j))
        rounding = 0.0
        if stored.dtype != block.dtype:
            rounding = float(np.sum((block - stored.astype(block.dtype)) ** 2, dtype=np.float64))
        with disk_errors(self.root):
            self._array[rows, columns] = stored
        _checkpoint("tile.written", i, j)
        return Receipt(i, j, checksum(stored), float(stored.min()), float(stored.max()), rounding, seconds, worker)

    def record(self, receipts: Iterable[Receipt]) -> None:
        """Make blocks finished: write their receipts (driver only, under the store's lock)."""
        receipts = list(receipts)
        for receipt in receipts:
            self._records[receipt.i, receipt.j] = receipt.record(self._place(receipt.i, receipt.j))
            self._verified.discard((receipt.i, receipt.j))
        self._write_records((r.i, r.j) for r in receipts)

    def forget(self, blocks: Iterable[Tile]) -> None:
        """Withdraw receipts, so that the blocks count as missing."""
        blocks = list(blocks)
        for i, j in blocks:
            self._records[i, j] = 0.0
        self._write_records(blocks)

    def receipt(self, i: int, j: int) -> Receipt | None:
        """The receipt of block (i, j), or None while it is not finished."""
        return Receipt.from_record(self._place(i, j), self._records[i, j])

    def receipts(self) -> list[Receipt]:
        """All valid receipts."""
        found = (self.receipt(i, j) for i, j in self.grid)
        return [r for r in found if r is not None]

    def missing(self) -> list[Tile]:
        """Blocks without a valid receipt, in the order in which they should be computed."""
        return [(i, j) for i, j in self.grid if self.receipt(i, j) is None]

    def damaged_receipts(self) -> list[Tile]:
        """Blocks whose receipt stands but cannot be believed: damaged, moved, or another store's."""
        return [(i, j) for i, j in self.grid if self._records[i, j].any() and self.receipt(i, j) is None]

    def unreceipted(self) -> list[Tile]:
        """Blocks whose data stands without a receipt: a killed writer's, or copied there."""
        return [(i, j) for i, j in self.grid if not self._records[i, j].any() and os.path.exists(self.chunk_path(i, j))]

    def foreign_files(self) -> list[Path]:
        """Files in the array's folder that hold no block of it."""
        folder = self.root / self.name / "c"
        known = {self.chunk_path(i, j) for i, j in self.grid}
        return sorted(p for p in folder.rglob("*") if not p.is_dir() and p not in known)

    def read(self, i: int, j: int, *, always_verify: bool = False) -> Array:
        """Read block (i, j), checked against its receipt at its first read in this process.

        Raises
        ------
        ChecksFailed
            The block has no receipt, its bytes do not match it, or its chunk is damaged.
        """
        receipt = self.receipt(i, j)
        if receipt is None:
            raise ChecksFailed(self.not_finished(i, j))
        if not self.chunk_path(i, j).exists():
            raise ChecksFailed(self.damaged(i, j))
        try:
            with disk_errors(self.root):
                block: Array = np.asarray(self._array[self.grid.rows(i), self.grid.columns(j)])
        except (ValueError, RuntimeError) as error:
            raise ChecksFailed(self.damaged(i, j)) from error
        if always_verify or (i, j) not in self._verified:
            if checksum(block) != receipt.checksum:
                raise ChecksFailed(self.damaged(i, j))
            self._verified.add((i, j))
        return block

    def chunk_path(self, i: int, j: int) -> Path:
        """The file that holds block (i, j)."""
        return self.root / self.name / "c" / str(i) / str(j)

    def damaged(self, i: int, j: int) -> str:
        """The sentence for a block that is not what its receipt says."""
        return f"Block ({i}, {j}) of {self.root}/{self.name} is damaged; `ntkdist verify --repair` mends it."

    def not_finished(self, i: int, j: int) -> str:
        """The sentence for a block without a receipt."""
        return f"Block ({i}, {j}) of {self.root}/{self.name} is not finished; start its run again to continue it."

    def not_finite(self, i: int, j: int) -> str:
        """The sentence for a block with NaN or Inf."""
        return f"Block ({i}, {j}) of {self.root}/{self.name} holds a value that is not finite in {self.dtype}."

    def _place(self, i: int, j: int) -> Place:
        rows, columns = self.grid.rows(i), self.grid.columns(j)
        return Place(i, j, (rows.stop - rows.start, columns.stop - columns.start), self._salt)

    def _write_records(self, blocks: Iterable[Tile]) -> None:
        touched = sorted({(i, j // RECORDS_PER_CHUNK) for i, j in blocks})
        with disk_errors(self.root):
            for i, k in touched:
                _checkpoint("receipt.before", i)
                part = slice(k * RECORDS_PER_CHUNK, (k + 1) * RECORDS_PER_CHUNK)
                self._receipts[i, part] = self._records[i, part]
                _checkpoint("receipt.written", i)

    def _read_records(self) -> NDArray[np.float64]:
        with disk_errors(self.root):
            try:
                return np.array(self._receipts[:], dtype=np.float64)
            except (ValueError, RuntimeError):
                pass  # a damaged file of receipts: the others still count
            records = np.zeros(self._receipts.shape)
            for i in range(records.shape[0]):
                for start in range(0, records.shape[1], RECORDS_PER_CHUNK):
                    part = slice(start, start + RECORDS_PER_CHUNK)
                    try:
                        records[i, part] = self._receipts[i, part]
                    except (ValueError, RuntimeError):
                        records[i, part] = -1.0  # neither empty nor valid: counted as damaged
            return records


def _array(group: zarr.Group, name: str, shape: tuple[int, ...]) -> zarr.Array[Any]:
    try:
        array = group[name]
    except (ValueError, KeyError, TypeError):
        array = None
    if not isinstance(array, zarr.Array) or array.shape != shape:
        raise ChecksFailed(
            f"The description of {name} ({group.store_path}/{name}/zarr.json) is damaged; `ntkdist verify --repair` "
            "restores it."
        )
    return array
