"""A whole life of a tiny store without a cluster: inputs, tiles, a result, appended rows, the tiles they need.

The tile of rows a and b is a·bᵀ + 1, which the checks compute on their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ntkdist.data import ArraySource, RowDigest
from ntkdist.moments import _checkpoint
from ntkdist.pipeline import append as append_module
from ntkdist.pipeline.inputs import write_rows
from ntkdist.store import Identity, RunStore, appended, writing
from ntkdist.tiling import Grid

TILE = 3
X = np.random.default_rng(7).standard_normal((7, 2))
FIRST = 5


class Product:
    """The kernel a·bᵀ + 1, as far as appending needs one."""

    needs_direction = False


def digest(rows: np.ndarray) -> str:
    whole = RowDigest()
    whole.update(rows)
    return whole.hexdigest()


def identity(n: int = FIRST) -> Identity:
    return Identity("a·b + 1", "ntk", digest(X[:n]), "float64", "float64", TILE, n)


def serial_gram(store: RunStore, *_: Any, **__: Any) -> int:
    """What the Gram stage does on workers, in this process."""
    tiles = store.tiles
    missing = tiles.missing()
    for i, j in missing:
        a = store.read_array("inputs/x_train", tiles.tiling.rows(i))
        b = store.read_array("inputs/x_train", tiles.tiling.rows(j))
        _checkpoint("tile.computed", i, j)
        tiles.record([tiles.write(i, j, a @ b.T + 1.0, 0.0)])
    return len(missing)


@dataclass
class Life:
    """The same calls every time, so that a run after a fault is the same command again."""

    root: Path
    grow: bool = True

    def run(self) -> None:
        with writing(self.root) as store:
            store.claim(identity(), {"kernel_description": "a·b + 1"})
            if store.stage("inputs") is None:
                self._inputs(store)
            serial_gram(store)
            if not appended(store) and store.stage("solution") is None:
                store.finish_stage("solution", "key", {"sum": 1.0}, {"weights": np.arange(5.0)})
        if self.grow:
            append_module.append_rows(self.root, ArraySource("new", X[FIRST:], None))

    def _inputs(self, store: RunStore) -> None:
        if not store.begun("inputs", "rows"):
            store.drop_stage("inputs")
            store.make_rows("inputs/x_train", Grid(FIRST, 2, TILE, 2), np.dtype("float64"))
            store.begin_stage("inputs", "rows")
        write_rows(store.rows("inputs/x_train"), X[:FIRST])
        arrays = {"train_rows": np.arange(FIRST), "duplicates": np.empty((0, 2), dtype=np.int64)}
        store.finish_stage("inputs", "rows", {"n_train": FIRST, "features": 2}, arrays, keep=True)

    def check_what_stands(self) -> dict[tuple[int, int], tuple[int, int]]:
        """P1: the store opens and every tile with a receipt is right; returns what must not be written again."""
        if not (self.root / "zarr.json").exists():
            return {}
        store = RunStore(self.root, mode="r+")
        if store.identity is None or store.pending is not None:
            return {}
        found = {}
        tiles = store.tiles
        for receipt in tiles.receipts():
            a, b = X[tiles.tiling.rows(receipt.i)], X[tiles.tiling.rows(receipt.j)]
            np.testing.assert_array_equal(tiles.read(receipt.i, receipt.j), a @ b.T + 1.0)
            stat = tiles.chunk_path(receipt.i, receipt.j).stat()
            full = tiles.tiling.size(receipt.i) == TILE
            if full:
                found[receipt.i, receipt.j] = (stat.st_mtime_ns, stat.st_ino)
        return found

    def check_complete(self, before: dict[tuple[int, int], tuple[int, int]]) -> None:
        """P2: the undisturbed matrix, nothing left over, no finished tile written again."""
        n = len(X) if self.grow else FIRST
        store = RunStore(self.root)
        assert store.identity == identity(n)
        tiles = store.tiles
        assert not tiles.missing()
        for i, j in tiles.tiling:
            a, b = X[:n][tiles.tiling.rows(i)], X[:n][tiles.tiling.rows(j)]
            np.testing.assert_array_equal(tiles.read(i, j), a @ b.T + 1.0)
            if (i, j) in before:
                stat = tiles.chunk_path(i, j).stat()
                assert (stat.st_mtime_ns, stat.st_ino) == before[i, j], "a finished tile was written again"
        np.testing.assert_array_equal(store.read_array("inputs/x_train"), X[:n])
        assert not list(self.root.rglob("*.partial"))
        assert not (self.root / "append").exists()
        assert store.damaged_stages() == []
        assert (store.stage("solution") is None) == self.grow


@pytest.fixture
def product_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Append without a cluster, with the kernel above."""
    monkeypatch.setattr(append_module, "stored_kernel", lambda store: Product())
    monkeypatch.setattr(append_module, "compute_gram", serial_gram)

    class NoClient:
        def __enter__(self) -> None:
            return None

        def __exit__(self, *_: object) -> None:
            return None

    monkeypatch.setattr(append_module, "gram_client", lambda config: NoClient())
