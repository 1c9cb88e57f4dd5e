"""Growing a matrix by new rows, so that a crash at any moment leaves the old matrix or leads to the new one.

Three steps. *Stage*: everything the grown ``inputs`` will hold is written to ``append/`` and declared finished; until
then nothing has changed. *Commit*: one atomic write of the root's attributes gives the store its new identity and
marks the append as pending. *Finish*: results that stood on the old rows are withdrawn, arrays grow, blocks are
copied from ``append/``; every step can be repeated, and whoever opens the store for writing next repeats them until
the mark is gone. Tiles keep their receipts, but for those of a last band that was not full: their receipts cover
their shape, so they count as missing from the commit on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import zarr

from ntkdist.moments import _checkpoint
from ntkdist.store.durable import disk_errors
from ntkdist.store.identity import Identity
from ntkdist.store.receipts import FIELDS
from ntkdist.store.run_store import RunStore
from ntkdist.tiling import Grid, Tiling

STAGING = "append"


def commit_append(store: RunStore, identity: Identity, entry: Mapping[str, Any]) -> None:
    """Give the store the identity of the grown matrix; the stage ``append`` must be finished.

    ``entry`` (source, rows, digest) joins the store's list of appended rows.
    """
    assert store.stage(STAGING) is not None
    assert store.base is not None
    old = store.identity
    assert old is not None
    _checkpoint("append.commit")
    store.set_attributes(
        {
            "base": store.base.to_dict(),
            "identity": identity.to_dict(),
            "appended": [*appended(store), dict(entry)],
            "pending": {"from": old.n, "to": identity.n},
        }
    )
    _checkpoint("append.committed")


def appended(store: RunStore) -> list[dict[str, Any]]:
    """The rows appended so far: source, number and digest of each lot."""
    lots = store.group.attrs.get("appended", [])
    assert isinstance(lots, list)
    return [dict(lot) for lot in lots if isinstance(lot, Mapping)]


def finish_append(store: RunStore) -> bool:
    """Carry out a committed append, or clear away one that was never committed; whether there was one to finish."""
    pending = store.pending
    if pending is None:
        store.drop_stage(STAGING)
        return False
    staged, identity = store.stage(STAGING), store.identity
    assert staged is not None
    assert identity is not None
    for later in store.later_stages():
        store.drop_stage(later)
    tiling = Tiling(identity.n, identity.tile)
    first = int(pending["from"]) // identity.tile  # the first band that changes
    with disk_errors(store.root):
        _grow(store, "gram", tiling.shape)
        _grow(store, "receipts", (*tiling.blocks, len(FIELDS)))
        tiles = store.tiles
        tiles.forget((i, j) for i, j in tiles.damaged_receipts() if i == first)
        _checkpoint("append.grown")
        _copy_rows(store, first, tiling)
    arrays = {label: store.stage_array(STAGING, label) for label in staged.arrays}
    store.finish_stage("inputs", staged.key, staged.result, arrays, keep=True)
    store.set_attributes({"pending": None})
    store.drop_stage(STAGING)
    return True


def _copy_rows(store: RunStore, first: int, tiling: Tiling) -> None:
    source = store.rows(f"{STAGING}/x")
    features = source.grid.m
    _grow(store, "inputs/x_train", (tiling.n, features))
    _grow(store, "inputs/x_train_receipts", (tiling.bands, 1, len(FIELDS)))
    store.forget_open_rows()
    rows = store.rows("inputs/x_train")
    assert rows.grid == Grid(tiling.n, features, tiling.tile, features)
    for i, _ in source.grid:
        rows.record([rows.write(first + i, 0, source.read(i, 0), 0.0)])
        _checkpoint("append.rows", i)


def _grow(store: RunStore, path: str, shape: tuple[int, ...]) -> None:
    array = store.group[path]
    assert isinstance(array, zarr.Array)
    if array.shape != shape:
        array.resize(shape)
