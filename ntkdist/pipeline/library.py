"""The Gram matrix of an array, for library users: in memory, or in a run store that resumes."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from distributed import Client
from numpy.typing import ArrayLike, NDArray

from ntkdist.cluster import ClusterSpec, DistributedOperator, TiledOperator, cores, open_client, tiles_allowed_on
from ntkdist.data import RowDigest, check_directions, check_rows, duplicate_groups
from ntkdist.errors import InputError
from ntkdist.kernels import ConvKernel, TileKernel
from ntkdist.pipeline.gram import compute_gram
from ntkdist.pipeline.gram_matrix import Gram
from ntkdist.pipeline.inputs import ragged, write_rows
from ntkdist.pipeline.session import open_gram
from ntkdist.pipeline.tile_source import ComputedTiles, DirectBlock, HeldTiles
from ntkdist.store import Identity, RunStore, refuse_without_room, writing
from ntkdist.tiling import Grid, Tile, Tiling, auto_tile

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
    identity = Identity(kernel.fingerprint, which, "", str(rows.dtype), stored, tiling.tile, n)
    operator, rounding = _in_memory(rows, kernel, identity, tiling, client, resident=mode != "recomputed")
    return Gram(
        operator,
        kernel,
        which,
        stored=mode != "recomputed",
        mode="recomputed" if mode == "recomputed" else "resident",
        reason="as asked for" if mode == "recomputed" else "tiles in memory",
        rounding=rounding,
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


def _in_memory(
    rows: Array, kernel: TileKernel, identity: Identity, tiling: Tiling, client: Client | None, *, resident: bool
) -> tuple[TiledOperator, float]:
    """The operator without a store, and ‖tiles − stored tiles‖²_F: tiles of this process, or of the workers."""
    storage = identity.storage if resident else identity.compute
    token = uuid.uuid4().hex
    source = ComputedTiles(None, tiling, kernel, identity.which, token, storage)
    diagonal = np.asarray(kernel.diagonal(rows, which=identity.which), dtype=np.float64)
    direct = None if resident else DirectBlock(kernel, identity.which, partial(np.take, rows, axis=0))
    dtype = np.dtype(storage)
    if client is not None:
        budget = max(tiles_allowed_on(client, at_most=True).values()) if resident else 0
        operator = DistributedOperator(
            client, source, tiling, dtype, budget=budget, data=rows, diagonal=diagonal.astype(dtype), block=direct
        )
        # |K_ij| ≤ √(K_ii K_jj) and half an ulp of it is lost at most, so the Frobenius norm is below u·tr K.
        lost = 2.0**-24 * float(np.sum(diagonal)) if dtype != rows.dtype else 0.0
        return operator, lost**2
    make = ComputedTiles(None, tiling, kernel, identity.which, token).open(rows)
    if not resident:
        return TiledOperator(tiling, make, dtype, diagonal=diagonal, block=direct), 0.0
    return _held_here(make, tiling, dtype)


def _held_here(make: Callable[[int, int], Array], tiling: Tiling, dtype: np.dtype[Any]) -> tuple[TiledOperator, float]:
    """Tiles in a dictionary, one thread a core."""

    def one(place: Tile) -> tuple[Tile, Array, float]:
        tile = make(*place)
        with np.errstate(over="ignore"):
            kept = tile.astype(dtype, copy=False)
        if not np.isfinite(kept).all():
            i, j = place
            raise InputError(
                f"The kernel overflows {dtype} between rows {tiling.rows(i).start}… and {tiling.rows(j).start}…; "
                "rescale the inputs or choose a smaller sigma_w."
            )
        lost = float(np.sum((tile - kept) ** 2, dtype=np.float64)) if kept.dtype != tile.dtype else 0.0
        return place, kept, lost * (1 if place[0] == place[1] else 2)

    with ThreadPoolExecutor(cores()) as pool:
        made = list(pool.map(one, tiling))
    tiles = {place: tile for place, tile, _ in made}
    return TiledOperator(tiling, HeldTiles(tiles), dtype), sum(lost for *_, lost in made)


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
    return open_gram(store, kernel, mode, client)


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
