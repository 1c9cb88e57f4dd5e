"""Verification of a store: every block against its receipt, every stage against its checksums, a random sample of
tiles against the kernel itself; and repair of what can be made again.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from ntkdist.config import ClusterConfig, RunConfig
from ntkdist.errors import ChecksFailed, InputError
from ntkdist.kernels import TileKernel
from ntkdist.pipeline.gram import RowBlocks, compute_gram, compute_tile
from ntkdist.pipeline.inputs import write_inputs
from ntkdist.pipeline.open_run import stored_kernel
from ntkdist.pipeline.prepare import prepare
from ntkdist.pipeline.progress import Progress, Silent
from ntkdist.pipeline.run import gram_client
from ntkdist.store import (
    RunStore,
    TileStore,
    appended,
    damaged_arrays,
    restore_arrays,
    restore_root,
    writer_lock,
    writing,
)
from ntkdist.tiling import Tile

CROSS = "cross/blocks"
ROWS = ("inputs/x_train", "inputs/x_test")


def verify_run(
    root: Path,
    *,
    repair: bool = False,
    sample: int = 4,
    unlock: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Check everything in a store that has a receipt or a checksum; with ``repair``, make what is damaged again.

    The verdict names damaged ``tiles`` (a receipt that cannot be believed counts as damage), blocks of rows,
    stages and descriptions; and, for information, tiles whose data stand without a receipt (a killed writer's,
    which are not used) and files that hold no tile.

    Raises
    ------
    InputError
        The store has no Gram matrix (nothing to verify).
    ChecksFailed
        Something is damaged that cannot be made again; the sentence says what to do.
    """
    progress = progress or Silent()
    descriptions = []
    if repair and (root / ".lock").exists():
        with writer_lock(root, unlock=unlock):
            descriptions = ["zarr.json"] if restore_root(root) else []
    if not repair:
        return _verdict(RunStore(root), sample, progress) | {"repaired": False}
    with writing(root, unlock=unlock, create=False) as store:
        broken = damaged_arrays(store)
        restore_arrays(store, broken)
        verdict = _verdict(store, sample, progress)
        verdict["descriptions"] = descriptions + broken
        bad = bool(verdict["damaged"] or verdict["rows"] or verdict["stages"] or verdict["descriptions"])
        if bad:
            _repair(store, verdict, progress)
            verdict["finished"] = len(store.tiles.receipts())
        return verdict | {"repaired": bad}


def _verdict(store: RunStore, sample: int, progress: Progress) -> dict[str, Any]:
    descriptions = damaged_arrays(store)
    if descriptions:
        listing = " and ".join(f"{name}/zarr.json" for name in descriptions)
        raise ChecksFailed(
            f"{listing} of {store.root} {'is' if len(descriptions) == 1 else 'are'} damaged; `ntkdist verify "
            f"{store.root} --repair` restores the description."
        )
    tiles, identity = store.tiles, store.identity
    assert identity is not None
    if not tiles.receipts() and not tiles.damaged_receipts():
        raise InputError(f"{store.root} has no finished tile to verify.")
    stages, rows = store.damaged_stages(), _damaged_rows(store, ROWS)
    if _damaged_rows(store, (CROSS,)):
        stages.append("cross")
    damaged = tiles.damaged_receipts() + _damaged(tiles, progress)
    chosen: list[Tile] = []
    if sample and "inputs" not in stages and not rows:
        good = [(r.i, r.j) for r in tiles.receipts() if (r.i, r.j) not in set(damaged)]
        chosen = [good[k] for k in np.random.default_rng().permutation(len(good))[:sample]]
        damaged += _differing(store, tiles, stored_kernel(store), identity.which, chosen)
    return {
        "run": str(store.root),
        "tiles": tiles.tiling.count,
        "finished": len(tiles.receipts()),
        "recomputed": len(chosen),
        "damaged": sorted(damaged),
        "rows": rows,
        "stages": stages,
        "descriptions": [],
        "unreceipted": sorted(tiles.unreceipted()),
        "foreign": [str(p.relative_to(store.root)) for p in tiles.foreign_files()],
    }


def _damaged_rows(store: RunStore, paths: tuple[str, ...]) -> list[tuple[str, int]]:
    """Blocks of these arrays that stand with a receipt they do not match, or whose receipt cannot be believed."""
    found = []
    for path in paths:
        if (store.root / path / "zarr.json").is_file():
            try:
                chunks = store.rows(path)
            except ChecksFailed:
                continue  # the description of the stage's array: its rows are missing from the stage
            done = store.stage(path.split("/")[0]) is not None
            for i, j in chunks.grid:
                if not done and chunks.receipt(i, j) is None:
                    continue  # still to be written
                try:
                    chunks.read(i, j, always_verify=True)
                except ChecksFailed:
                    found.append((path, i))
    return found


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


def _repair(store: RunStore, verdict: dict[str, Any], progress: Progress) -> None:
    # First what stands on the tiles: killed in between, the next run makes all of it again.
    for later in store.later_stages():
        store.drop_stage(later)
    if verdict["rows"] or "inputs" in verdict["stages"]:
        _rewrite_inputs(store, verdict, progress)
    tiles = store.tiles
    tiles.forget(verdict["damaged"])
    if verdict["damaged"]:
        with gram_client(ClusterConfig()) as client:
            compute_gram(store, stored_kernel(store), client, only=verdict["damaged"], progress=progress)


def _rewrite_inputs(store: RunStore, verdict: dict[str, Any], progress: Progress) -> None:
    """Make the damaged rows again from the dataset, if it is still the same."""
    tree = store.group.attrs.get("config")
    if appended(store) or not isinstance(tree, dict):
        what = "rows were appended to it" if appended(store) else "it was made from an array"
        raise ChecksFailed(
            f"The rows in {store.root}/inputs are damaged and cannot be read again from a dataset, because {what}; "
            "remove the store and start again."
        )
    prepared = prepare(RunConfig.model_validate(tree), progress, again=True)
    identity = store.identity
    assert identity is not None
    prepared.identity.refuse_to_mix(identity, str(store.root))
    store.drop_stage("inputs")
    store.forget_open_rows()
    write_inputs(prepared, store, progress)
