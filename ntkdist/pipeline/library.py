"""The Gram matrix of an array, for library users: in memory, or in a run store that resumes."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from distributed import Client
from numpy.typing import ArrayLike, NDArray

from ntkdist.cluster import ClusterSpec, TiledOperator, open_client, run_tiles
from ntkdist.data import RowDigest, check_directions, check_rows, duplicate_groups
from ntkdist.errors import InputError
from ntkdist.kernels import ConvKernel, TileKernel
from ntkdist.pipeline.gram import compute_gram
from ntkdist.pipeline.gram_matrix import Gram
from ntkdist.pipeline.inputs import ragged, write_rows
from ntkdist.pipeline.session import open_gram
from ntkdist.store import Identity, RunStore, refuse_without_room, writing
from ntkdist.tiling import Grid, Tiling, auto_tile

Array = NDArray[Any]


def library_gram(
    x: ArrayLike,
    kernel: TileKernel,
    store: str | Path | None,
    client: Client | None,
    *,
    which: str,
    tile: int | str,
    storage: str | None,
    mode: str,
) -> Gram:
    """See :func:`ntkdist.gram`."""
    if isinstance(kernel, ConvKernel) and np.ndim(x) > 1:
        kernel = kernel.for_inputs(np.shape(x)[1:])
    rows = _checked(x, kernel)
    if which not in ("ntk", "nngp"):
        raise InputError(f"Unknown kernel {which!r}; choose ntk or nngp.")
    n = len(rows)
    if isinstance(tile, str):
        if tile != "auto":
            raise InputError(f"tile must be a positive whole number or 'auto', not {tile!r}.")
        size = auto_tile(n, work_per_entry=kernel.work(1, 1, rows.shape[1]))
    elif tile < 1:
        raise InputError(f"tile must be a positive whole number or 'auto', not {tile}.")
    else:
        size = min(tile, n)
    stored = str(np.dtype(storage or rows.dtype))
    if stored not in ("float32", "float64"):
        raise InputError(f"storage must be float32 or float64, not {stored}.")
    tiling = Tiling(n, size)
    if store is not None:
        return _in_store(rows, kernel, Path(store), client, which, tiling, stored, mode, tile == "auto")
    if mode == "recomputed":
        operator = TiledOperator(tiling, _Tiles(rows, kernel, which, tiling, rows.dtype), rows.dtype)
        kept, reason = False, "as asked for"
    else:
        operator, reason = (
            _in_memory(rows, kernel, which, tiling, np.dtype(stored), client),
            "tiles in memory",
        )
        kept = True
    return Gram(
        operator,
        kernel,
        which,
        stored=kept,
        mode="recomputed" if mode == "recomputed" else "resident",
        reason=reason,
        rounding=operator.rounding if isinstance(operator, _ResidentOperator) else 0.0,
        compute=str(rows.dtype),
        duplicates=list(duplicate_groups([rows])),
    )


def _checked(x: ArrayLike, kernel: TileKernel) -> Array:
    rows = np.asarray(x)
    if rows.dtype not in (np.float32, np.float64):
        rows = rows.astype(np.float64)
    if rows.ndim == 0 or rows.size == 0:
        raise InputError(f"x holds no rows; its shape is {rows.shape}.")
    rows = np.ascontiguousarray(rows.reshape(len(rows), -1) if rows.ndim != 1 else rows[:, None])
    check_rows(rows, 0)
    if kernel.needs_direction:
        check_directions(rows, np.arange(len(rows)))
    return rows


class _Tiles:
    """Compute tiles from an array; what a worker runs when there is no store."""

    def __init__(self, rows: Array, kernel: TileKernel, which: str, tiling: Tiling, storage: np.dtype[Any]) -> None:
        self.rows, self.kernel, self.which, self.tiling, self.storage = rows, kernel, which, tiling, storage

    def __call__(self, i: int, j: int) -> Array:
        left = self.rows[self.tiling.rows(i)]
        right = left if i == j else self.rows[self.tiling.rows(j)]
        return np.asarray(self.kernel.tile(left, right, which=self.which))


class _WithPlace(_Tiles):
    """The same, returning the tile's place, its stored form and ‖rounding‖²_F."""

    def __call__(self, i: int, j: int) -> Any:
        tile = super().__call__(i, j)
        stored = tile.astype(self.storage)
        rounding = float(np.sum((tile - stored) ** 2, dtype=np.float64)) if stored.dtype != tile.dtype else 0.0
        return i, j, stored, rounding


class _ResidentOperator(TiledOperator):
    """Tiles in a dictionary, with the Frobenius norm of their rounding."""

    rounding: float = 0.0


def _in_memory(
    rows: Array, kernel: TileKernel, which: str, tiling: Tiling, storage: np.dtype[Any], client: Client | None
) -> _ResidentOperator:
    tiles: dict[tuple[int, int], Array] = {}
    rounding = [0.0]

    def done(batch: list[Any]) -> None:
        for i, j, tile, error in batch:
            if not np.isfinite(tile).all():
                raise InputError(
                    f"The kernel overflows {tile.dtype} between rows {tiling.rows(i).start}… and "
                    f"{tiling.rows(j).start}…; rescale the inputs or choose a smaller sigma_w."
                )
            tiles[i, j] = tile
            rounding[0] += error * (1 if i == j else 2)

    with ExitStack() as stack:
        workers = client or stack.enter_context(open_client(ClusterSpec()))
        run_tiles(workers, _WithPlace(rows, kernel, which, tiling, storage), tiling, done)
    operator = _ResidentOperator(tiling, lambda i, j: tiles[i, j], storage)
    operator.rounding = rounding[0]
    return operator


def _in_store(
    rows: Array,
    kernel: TileKernel,
    root: Path,
    client: Client | None,
    which: str,
    tiling: Tiling,
    storage: str,
    mode: str,
    automatic: bool,
) -> Gram:
    digest = RowDigest()
    digest.update(rows)
    identity = Identity(kernel.fingerprint, which, digest.hexdigest(), str(rows.dtype), storage, tiling.tile, tiling.n)
    if not (root / "zarr.json").exists():
        refuse_without_room(root, rows.nbytes + tiling.stored_entries() * np.dtype(storage).itemsize)
    with writing(root) as store:
        known = store.identity
        if automatic and known is not None and known.n == identity.n:
            identity = replace(identity, tile=known.tile)
        store.claim(identity, {"kernel": kernel.spec(), "kernel_description": str(kernel)})
        if store.stage("inputs") is None:
            _write_inputs(store, rows, identity)
        if mode != "recomputed" and store.tiles.missing():
            with ExitStack() as stack:
                workers = client or stack.enter_context(open_client(ClusterSpec()))
                compute_gram(store, kernel, workers)
    return open_gram(store, kernel, mode)


def _write_inputs(store: RunStore, rows: Array, identity: Identity) -> None:
    if not store.begun("inputs", identity.data):
        store.drop_stage("inputs")
        n, width = rows.shape
        store.make_rows("inputs/x_train", Grid(n, width, identity.tile, width), rows.dtype)
        store.begin_stage("inputs", identity.data)
    write_rows(store.rows("inputs/x_train"), rows)
    arrays = {"train_rows": np.arange(len(rows)), "duplicates": ragged(list(duplicate_groups([rows])))}
    summary = {"source": "array", "n_train": len(rows), "n_test": 0, "features": rows.shape[1]}
    store.finish_stage("inputs", identity.data, summary, arrays, keep=True)
