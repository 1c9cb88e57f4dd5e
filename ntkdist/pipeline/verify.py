"""Verification of a store: every tile against its checksum, a random sample against the kernel itself."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from ntkdist.config import ClusterConfig
from ntkdist.errors import ChecksFailed, InputError
from ntkdist.kernels import TileKernel
from ntkdist.pipeline.gram import RowBlocks, compute_gram, compute_tile
from ntkdist.pipeline.open_run import stored_kernel
from ntkdist.pipeline.progress import Progress, Silent
from ntkdist.pipeline.run import gram_client
from ntkdist.store import RunStore, TileStore, writer_lock
from ntkdist.tiling import Tile


def verify_run(
    root: Path,
    *,
    repair: bool = False,
    sample: int = 4,
    unlock: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Check all tiles that have a receipt; with ``repair``, compute the damaged ones again.

    Raises
    ------
    InputError
        The store has no Gram matrix (nothing to verify).
    """
    progress = progress or Silent()
    store = RunStore(root, mode="r+" if repair else "r")
    tiles, identity = store.tiles, store.identity
    assert identity is not None
    if not tiles.receipts():
        raise InputError(f"{root} has no finished tile to verify.")
    damaged = _damaged(tiles, progress)
    kernel = stored_kernel(store)
    good = [(r.i, r.j) for r in tiles.receipts() if (r.i, r.j) not in set(damaged)]
    chosen = np.random.default_rng().permutation(len(good))[:sample]
    damaged += _differing(store, tiles, kernel, identity.which, [good[k] for k in chosen])
    if repair and damaged:
        with writer_lock(Path(root), unlock=unlock):
            # First what stands on the tiles: killed in between, the next run makes all of it again.
            for later in ("spectrum", "solution", "theory", "predictions"):
                store.drop_stage(later)
            tiles.forget(damaged)
            with gram_client(ClusterConfig.model_validate({})) as client:
                compute_gram(store, kernel, client, only=damaged, progress=progress)
    return {
        "run": str(root),
        "tiles": tiles.tiling.count,
        "finished": len(tiles.receipts()) if not repair else len(store.tiles.receipts()),
        "recomputed": len(chosen),
        "damaged": sorted(damaged),
        "repaired": bool(repair and damaged),
    }


def _damaged(tiles: TileStore, progress: Progress) -> list[Tile]:
    receipts = tiles.receipts()
    progress.start("verify", len(receipts), "tiles")
    damaged = []
    for count, receipt in enumerate(receipts):
        try:
            tiles.read(receipt.i, receipt.j, always_verify=True)
        except ChecksFailed:
            damaged.append((receipt.i, receipt.j))
        progress.update(count + 1)
    progress.finish()
    return damaged


def _differing(store: RunStore, tiles: TileStore, kernel: TileKernel, which: str, sample: list[Tile]) -> list[Tile]:
    rows = RowBlocks(str(store.root), tiles.tiling)
    differing = []
    for i, j in sample:
        again = compute_tile(kernel, rows, i, j, which).astype(tiles.dtype)
        stored = None
        with contextlib.suppress(ChecksFailed):  # damaged since the first look: it differs
            stored = tiles.read(i, j)
        if stored is None or not np.array_equal(stored, again):
            differing.append((i, j))
    return differing
