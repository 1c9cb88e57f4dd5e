"""Test × train blocks Θ(x*, X), (m, n): computed as they are asked for, or stored with receipts like tiles.

Stored (``predict.store: true``), they stand in ``cross/`` in the storage precision, so that predictions with other
weights (another ridge) need no kernel; an interrupted run computes only those that are missing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.kernels import TileKernel
from ntkdist.moments import _checkpoint
from ntkdist.store import Chunks, RunStore
from ntkdist.tiling import Grid

Array = NDArray[Any]
STAGE, PATH = "cross", "cross/blocks"


def cross_blocks(store: RunStore, kernel: TileKernel) -> Iterator[tuple[slice, slice, Array]]:
    """Yield (test rows, training rows, block) for the run's held-out rows, from the store where they stand there."""
    identity = store.identity
    assert identity is not None
    stored = store.rows(PATH) if store.stage(STAGE, _key(store)) is not None else None
    grid = _grid(store)
    for i, j in grid:
        block = stored.read(i, j) if stored is not None else _compute(store, kernel, grid, i, j)
        yield grid.rows(i), grid.columns(j), block


def store_cross_blocks(store: RunStore, kernel: TileKernel) -> int:
    """Compute, write and receipt the blocks that are missing; returns how many were computed."""
    key = _key(store)
    if store.stage(STAGE, key) is not None:
        return 0
    grid, identity = _grid(store), store.identity
    assert identity is not None
    if not store.begun(STAGE, key):
        store.drop_stage(STAGE)
        store.make_rows(PATH, grid, np.dtype(identity.storage))
        store.begin_stage(STAGE, key)
    chunks: Chunks[Grid] = store.rows(PATH)
    missing = chunks.missing()
    for i, j in missing:
        start = time.perf_counter()
        block = _compute(store, kernel, grid, i, j)
        chunks.record([chunks.write(i, j, block, time.perf_counter() - start)])
        _checkpoint("cross.block", i, j)
    store.finish_stage(STAGE, key, {"m": grid.n, "n": grid.m, "blocks": grid.blocks}, keep=True)
    return len(missing)


def stored_product(store: RunStore, kernel: TileKernel, weights: Array) -> Array:
    """Θ(x*, X) W for the held-out rows through stored blocks, (m, s) float64; missing blocks are computed first."""
    store_cross_blocks(store, kernel)
    out = np.zeros((_grid(store).n, weights.shape[1]))
    for rows, columns, block in cross_blocks(store, kernel):
        out[rows] += block.astype(np.float64) @ weights[columns]
    return out


def _compute(store: RunStore, kernel: TileKernel, grid: Grid, i: int, j: int) -> Array:
    identity = store.identity
    assert identity is not None
    test = store.read_array("inputs/x_test", grid.rows(i))
    train = store.read_array("inputs/x_train", grid.columns(j))
    return np.asarray(kernel.cross(test, train, which=identity.which))


def _grid(store: RunStore) -> Grid:
    identity = store.identity
    assert identity is not None
    m = store.rows("inputs/x_test").grid.n
    return Grid(m, identity.n, max(1, min(identity.tile, m)), identity.tile)


def _key(store: RunStore) -> str:
    identity = store.identity
    assert identity is not None
    return identity.digest
