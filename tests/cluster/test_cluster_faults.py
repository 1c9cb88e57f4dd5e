"""What a cluster may do to a run: workers that are killed, frozen or missing, a scheduler that dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from distributed import Client
from sources import MatrixSource

from ntkdist.cluster import ClusterSpec, DistributedOperator, Patience, TiledOperator, open_client, run_tiles
from ntkdist.cluster.waiting import Completed
from ntkdist.errors import ClusterLost
from ntkdist.tiling import Tiling

TILING = Tiling(50, 10)


def slow(i: int, j: int) -> tuple[int, int]:
    time.sleep(0.2)
    return i, j


def freezing(i: int, j: int) -> tuple[int, int]:
    """Stop the worker's process for good, the first time tile (2, 1) is computed."""
    flag = os.environ["NTKDIST_TEST_FLAG"]
    if (i, j) == (2, 1) and not os.path.exists(flag):
        open(flag, "w").close()
        os.kill(os.getpid(), signal.SIGSTOP)
    return i, j


def always_deadly(i: int, j: int) -> tuple[int, int]:
    if (i, j) == (2, 1):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return i, j


def test_a_tile_that_kills_every_worker_is_given_up_by_name() -> None:
    seen: list[tuple[int, int]] = []
    with (
        open_client(ClusterSpec(type="local", workers=2, threads_per_worker=1)) as client,
        pytest.raises(ClusterLost, match=r"Tile \(2, 1\) was lost with 4 workers in a row, 1 times over"),
    ):
        run_tiles(client, always_deadly, TILING, seen.extend, attempts=1)
    assert set(seen) >= {(4, j) for j in range(5)}, "the other tiles were not delivered"


class Flickering:
    """A future whose result goes down with its worker before it is fetched, and is computed again."""

    def __init__(self) -> None:
        self.statuses = iter(["lost", "pending", "finished"])

    @property
    def status(self) -> str:
        return next(self.statuses)

    def add_done_callback(self, call: Callable[[object], None]) -> None:
        call(self)


def test_a_result_lost_before_it_was_fetched_is_delivered_when_computed_again(client_of_one: Client) -> None:
    completed, future = Completed(client_of_one, Patience(tick=0.01)), Flickering()
    completed.add(future)  # type: ignore[arg-type]
    assert [batch for batch in completed.batches() if batch] == [[future]]


def test_a_frozen_worker_is_replaced_within_its_ttl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NTKDIST_TEST_FLAG", str(tmp_path / "frozen"))
    seen: list[tuple[int, int]] = []
    with open_client(ClusterSpec(type="local", workers=2, threads_per_worker=1, worker_ttl=1.0)) as client:
        run_tiles(client, freezing, TILING, seen.extend)
    assert (tmp_path / "frozen").exists()
    assert sorted(set(seen)) == sorted(TILING)


@contextmanager
def separate_scheduler(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], subprocess.Popen[bytes], str]]:
    """A scheduler and a worker as processes of their own, as on a real cluster."""
    file = folder / "scheduler.json"
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("dask")), *arguments],
            env={**os.environ, "PYTHONPATH": paths},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    scheduler = start(
        "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)
    )
    worker = start(
        "worker",
        "--scheduler-file",
        str(file),
        "--host",
        "127.0.0.1",
        "--nthreads",
        "1",
        "--no-dashboard",
        "--no-nanny",
    )
    try:
        deadline = time.monotonic() + 30
        while not file.exists() or not file.read_text():
            assert time.monotonic() < deadline, "the scheduler did not start"
            time.sleep(0.05)
        yield scheduler, worker, json.loads(file.read_text())["address"]
    finally:
        for process in (worker, scheduler):
            process.kill()
            process.wait()


def address(of: str) -> ClusterSpec:
    return ClusterSpec(type="address", address=of, connect_timeout=15.0)


def test_a_scheduler_that_dies_is_told_in_one_sentence_within_a_minute(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with separate_scheduler(tmp_path) as (scheduler, _, where):
        killer = threading.Timer(1.0, scheduler.kill)
        start = time.monotonic()

        def delivered(batch: list[tuple[int, int]]) -> None:
            seen.extend(batch)
            if not killer.is_alive() and not killer.finished.is_set():
                killer.start()

        with (
            pytest.raises(ClusterLost, match="scheduler went away; finished tiles are kept"),
            open_client(address(where)) as client,
        ):
            run_tiles(client, slow, Tiling(500, 10), delivered)
        assert time.monotonic() - start < 60
    assert seen


def test_a_pass_tells_of_a_dead_scheduler_too(tmp_path: Path) -> None:
    v = np.ones((50, 1))
    with separate_scheduler(tmp_path) as (scheduler, _, where), open_client(address(where)) as client:
        source = MatrixSource(TILING)
        op = DistributedOperator(client, source, TILING, np.dtype("float64"), budget=1 << 20)
        here = TiledOperator(TILING, source.open(None), np.dtype("float64"))
        np.testing.assert_array_equal(op.matmat(v), here.matmat(v))
        scheduler.kill()
        scheduler.wait()
        with pytest.raises(ClusterLost, match="scheduler went away"):
            op.matmat(v)


def test_a_cluster_without_workers_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    with separate_scheduler(tmp_path) as (_, worker, where), open_client(address(where)) as client:

        def delivered(_: list[tuple[int, int]]) -> None:
            worker.kill()

        with pytest.raises(ClusterLost, match="has had no worker for 1 s"):
            run_tiles(client, slow, Tiling(500, 10), delivered, patience=Patience(workers=1.0, tick=0.2))


def test_a_scheduler_that_is_frozen_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    with separate_scheduler(tmp_path) as (scheduler, _, where), open_client(address(where)) as client:

        def delivered(_: list[tuple[int, int]]) -> None:
            scheduler.send_signal(signal.SIGSTOP)

        try:
            with pytest.raises(ClusterLost, match="scheduler went away"):
                run_tiles(client, slow, Tiling(500, 10), delivered, patience=Patience(scheduler=1.0, tick=0.2))
        finally:
            scheduler.send_signal(signal.SIGCONT)


def test_workers_that_come_later_get_their_share(client_of_one: Client) -> None:
    seen: list[tuple[int, int]] = []
    cluster = client_of_one.cluster

    def delivered(batch: list[tuple[int, int]]) -> None:
        if not seen:
            cluster.scale(2)
        seen.extend(batch)

    run_tiles(client_of_one, whereabouts, Tiling(150, 10), delivered, patience=Patience(tick=0.1))
    assert len({process for process, _ in seen}) == 2
    assert len(seen) == Tiling(150, 10).count


def whereabouts(i: int, j: int) -> tuple[int, int]:
    time.sleep(0.1)
    return os.getpid(), i


@pytest.fixture
def client_of_one() -> Iterator[Client]:
    with open_client(ClusterSpec(type="local", workers=1, threads_per_worker=1)) as client:
        yield client
