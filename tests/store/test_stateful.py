"""A store under any order of writes, receipts, appended rows, checks, repairs, crashes, damage and rivals behaves as a
dictionary of arrays.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ntkdist.errors import ChecksFailed, OutOfSpace, StoreLocked
from ntkdist.moments import on_moment
from ntkdist.store import (
    Identity,
    Receipt,
    RunStore,
    commit_append,
    finish_append,
    sweep_partial,
    writer_lock,
    writing,
)
from ntkdist.tiling import Grid, Tile, Tiling

NIGHTLY = os.environ.get("NTKDIST_NIGHTLY") == "1"
TILE, START, MOST = 3, 5, 11
ROWS = np.random.default_rng(3).standard_normal((MOST, 2))


class Crash(BaseException):
    """The process is gone: nothing after this reaches the disk."""


def truth(n: int, i: int, j: int) -> np.ndarray:
    tiling = Tiling(n, TILE)
    return ROWS[:n][tiling.rows(i)] @ ROWS[:n][tiling.rows(j)].T


class StoreMachine(RuleBasedStateMachine):
    """The model: ``done`` are tiles with a receipt, ``written`` those without, ``damaged`` those spoilt since."""

    def __init__(self) -> None:
        super().__init__()
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(prefix="ntkdist-", dir=base))
        self.root = self.folder / "a.zarr"
        self.n = START
        self.done: set[Tile] = set()
        self.damaged: set[Tile] = set()
        self.waiting: list[Receipt] = []

    def identity(self, n: int) -> Identity:
        return Identity("k", "ntk", f"rows {n}", "float64", "float64", TILE, n)

    @initialize()
    def create(self) -> None:
        with writing(self.root) as store:
            store.claim(self.identity(START), {})
            self._inputs(store, "inputs/x_train", ROWS[:START], START)
            arrays = {"train_rows": np.arange(START)}
            store.finish_stage("inputs", "key", {"n_train": START}, arrays, keep=True)
        self.reopen()

    def _inputs(self, store: RunStore, path: str, rows: np.ndarray, n: int) -> None:
        store.group.require_group(path.split("/")[0])
        chunks = store.make_rows(path, Grid(len(rows), 2, TILE, 2), np.dtype("float64"))
        chunks.record([chunks.write(i, 0, rows[chunks.grid.rows(i)], 0.0) for i, _ in chunks.grid])

    @rule()
    def reopen(self) -> None:
        self.store = RunStore(self.root, mode="r+")
        self.tiles = self.store.tiles
        self.waiting = []

    def _pick(self, data: st.DataObject, among: set[Tile]) -> Tile:
        return data.draw(st.sampled_from(sorted(among)))

    @rule(data=st.data())
    def write(self, data: st.DataObject) -> None:
        i, j = self._pick(data, set(Tiling(self.n, TILE)))
        self.waiting.append(self.tiles.write(i, j, truth(self.n, i, j), 0.0))
        self.damaged.discard((i, j))

    @precondition(lambda self: self.waiting)
    @rule()
    def receipt(self) -> None:
        self.tiles.record(self.waiting)
        self.done |= {(r.i, r.j) for r in self.waiting}
        self.waiting = []

    @precondition(lambda self: self.n < MOST)
    @rule(more=st.integers(1, 3), crash=st.integers(0, 200))
    def append(self, more: int, crash: int) -> None:
        old, n = self.n, min(MOST, self.n + more)
        try:
            with _crashing_at(crash), writing(self.root, create=False) as store:
                first = old // TILE
                self._inputs(store, "append/x", ROWS[first * TILE : n], n)
                store.finish_stage("append", f"key {n}", {"n_train": n}, {"train_rows": np.arange(n)}, keep=True)
                commit_append(store, self.identity(n), {"source": "s", "rows": n - old, "digest": "d"})
                finish_append(store)
        except Crash:
            pass
        with writing(self.root, create=False) as store:
            identity = store.identity
            assert identity is not None
            assert identity.n in (old, n)
        if identity.n == n:
            self.n = n
            if old % TILE:
                self.done = {(i, j) for i, j in self.done if i != old // TILE}
                self.damaged = {(i, j) for i, j in self.damaged if i != old // TILE}
        self.reopen()

    @rule()
    def verify(self) -> None:
        tiles = self.store.tiles
        assert set(tiles.damaged_receipts()) == set()
        found = set()
        for receipt in tiles.receipts():
            try:
                tiles.read(receipt.i, receipt.j, always_verify=True)
            except ChecksFailed:
                found.add((receipt.i, receipt.j))
        assert found == self.damaged & self.done

    @rule()
    def repair(self) -> None:
        bad = sorted(self.damaged & self.done)
        self.tiles.forget(bad)
        self.tiles.record([self.tiles.write(i, j, truth(self.n, i, j), 0.0) for i, j in bad])
        self.damaged -= set(bad)

    @precondition(lambda self: self.done)
    @rule(data=st.data(), how=st.sampled_from(["flip", "cut", "empty", "delete"]))
    def corrupt(self, data: st.DataObject, how: str) -> None:
        i, j = self._pick(data, self.done)
        path = self.tiles.chunk_path(i, j)
        content = bytearray(path.read_bytes()) if path.exists() else bytearray(b"\0" * 72)
        tiling = Tiling(self.n, TILE)
        if how == "flip":
            # Within the part of the chunk that belongs to the matrix: the rest of a ragged one is not read.
            row = data.draw(st.integers(0, tiling.size(i) - 1))
            at = (row * TILE + data.draw(st.integers(0, tiling.size(j) - 1))) * 8
            if (i, j) in self.damaged or len(content) < 72:
                return
            content[at + data.draw(st.integers(0, 7))] ^= 1 << data.draw(st.integers(0, 7))
            path.write_bytes(content)
        elif how == "cut":
            path.write_bytes(content[: len(content) // 2])
        elif how == "empty":
            path.write_bytes(b"")
        else:
            path.unlink(missing_ok=True)
        self.damaged.add((i, j))
        self.reopen()

    @rule(data=st.data(), at=st.integers(1, 12))
    def crash(self, data: st.DataObject, at: int) -> None:
        i, j = self._pick(data, set(Tiling(self.n, TILE)))
        receipts = []
        with contextlib.suppress(Crash), _crashing_at(at):
            receipts = [self.tiles.write(i, j, truth(self.n, i, j), 0.0)]
            self.tiles.record(receipts)
        with writer_lock(self.root):
            sweep_partial(self.root)
        self.reopen()
        if self.tiles.receipt(i, j) is not None:
            self.done.add((i, j))
        # The chunk was replaced as a whole or not at all.
        if (i, j) in self.damaged and self._reads_right(i, j):
            self.damaged.discard((i, j))

    def _reads_right(self, i: int, j: int) -> bool:
        try:
            return bool(np.array_equal(self.tiles.read(i, j), truth(self.n, i, j)))
        except ChecksFailed:
            return False

    @rule(data=st.data(), at=st.integers(1, 6))
    def full_disk(self, data: st.DataObject, at: int) -> None:
        i, j = self._pick(data, set(Tiling(self.n, TILE)))

        def full() -> None:
            raise OSError(errno.ENOSPC, "full")

        try:
            with on_moment(_Countdown(at, full)):
                self.waiting.append(self.tiles.write(i, j, truth(self.n, i, j), 0.0))
        except OutOfSpace:
            pass
        if self._chunk_is_right(i, j):
            self.damaged.discard((i, j))
        assert not list(self.root.rglob("*.partial"))

    def _chunk_is_right(self, i: int, j: int) -> bool:
        path = self.tiles.chunk_path(i, j)
        if not path.exists() or path.stat().st_size != 8 * TILE * TILE:
            return False
        whole = np.frombuffer(path.read_bytes()).reshape(TILE, TILE)
        tiling = Tiling(self.n, TILE)
        return bool(np.array_equal(whole[: tiling.size(i), : tiling.size(j)], truth(self.n, i, j)))

    @rule()
    def second_writer(self) -> None:
        with writing(self.root, create=False), pytest.raises(StoreLocked), writing(self.root, create=False):
            pass
        self.reopen()

    @invariant()
    def finished_tiles_are_right(self) -> None:
        if not hasattr(self, "store"):
            return
        tiles = self.tiles
        assert {(r.i, r.j) for r in tiles.receipts()} == self.done
        for i, j in self.done - self.damaged:
            np.testing.assert_array_equal(tiles.read(i, j), truth(self.n, i, j))
        for i, j in set(Tiling(self.n, TILE)) - self.done:
            with pytest.raises(ChecksFailed, match="not computed"):
                tiles.read(i, j)

    def teardown(self) -> None:
        shutil.rmtree(self.folder)


class _Countdown:
    def __init__(self, at: int, act: object) -> None:
        self.left, self.act = at, act

    def __call__(self, moment: str, *_: object) -> None:
        if moment.startswith("disk.") and moment != "disk.read":
            self.left -= 1
            if self.left == 0:
                self.act()  # type: ignore[operator]


@contextlib.contextmanager
def _crashing_at(at: int):
    """From the at-th write on, the process is dead: no further step reaches the disk."""
    dead = [False]

    def hook(moment: str, *_: object) -> None:
        if not moment.startswith("disk.") or moment == "disk.read":
            return
        counted[0] += 1
        if dead[0] or counted[0] == at:
            dead[0] = True
            raise Crash

    counted = [0]
    with on_moment(hook):
        yield


TestStore = StoreMachine.TestCase
TestStore.settings = settings(
    max_examples=1000 if NIGHTLY else 25,
    stateful_step_count=200 if NIGHTLY else 40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
