"""Clusters start, compute tiles, listen on loopback only, and say what is wrong when they cannot."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import dask
import psutil
import pytest
from distributed import Client

from ntkdist.cluster import ClusterSpec, open_client, run_tiles
from ntkdist.errors import ClusterLost, InputError
from ntkdist.tiling import Tiling


def square(i: int, j: int) -> tuple[int, int]:
    return i, j


def failing(i: int, j: int) -> tuple[int, int]:
    if (i, j) == (2, 1):
        raise ValueError("tile (2, 1) is bad")
    return i, j


def deadly(i: int, j: int) -> tuple[int, int]:
    """Kill the worker the first time tile (2, 1) is computed."""
    flag = os.environ["NTKDIST_TEST_FLAG"]
    if (i, j) == (2, 1) and not os.path.exists(flag):
        open(flag, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return i, j


@pytest.fixture(params=["in-process", "local"])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    with open_client(ClusterSpec(type=request.param, workers=2)) as opened:
        yield opened


class TestClusterConformance:
    def test_all_tiles_are_computed_once(self, client: Client) -> None:
        seen: list[tuple[int, int]] = []
        run_tiles(client, square, Tiling(50, 7), seen.extend)
        assert sorted(seen) == sorted(Tiling(50, 7))

    def test_an_error_of_a_tile_is_raised_after_the_others_were_delivered(self, client: Client) -> None:
        seen: list[tuple[int, int]] = []
        with pytest.raises(ValueError, match="tile \\(2, 1\\) is bad"):
            run_tiles(client, failing, [(0, 0), (2, 1)], seen.extend)
        run_tiles(client, square, [(5, 5)], seen.extend)
        assert (5, 5) in seen

    def test_nothing_listens_off_loopback(self, client: Client) -> None:
        processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
        listening = [
            c.laddr.ip for p in processes for c in p.net_connections(kind="inet") if c.status == psutil.CONN_LISTEN
        ]
        assert listening, "the test looks at no socket at all"
        assert set(listening) <= {"127.0.0.1", "::1"}


def test_a_worker_killed_in_mid_tile_loses_nothing(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NTKDIST_TEST_FLAG", f"{tmp_path}/killed")
    seen: list[tuple[int, int]] = []
    with open_client(ClusterSpec(type="local", workers=2)) as client:
        run_tiles(client, deadly, Tiling(50, 10), seen.extend)
    assert os.path.exists(f"{tmp_path}/killed")
    assert sorted(set(seen)) == sorted(Tiling(50, 10))


def test_a_worker_that_its_nanny_gave_up_is_replaced() -> None:
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "500ms"}),
        open_client(ClusterSpec(type="local", workers=1)) as client,
    ):
        client.retire_workers(close_workers=True)
        assert not client.ncores()
        seen: list[tuple[int, int]] = []
        run_tiles(client, square, Tiling(20, 10), seen.extend)
        assert sorted(seen) == sorted(Tiling(20, 10))


def test_a_scheduler_that_is_not_there_is_told_in_one_sentence() -> None:
    spec = ClusterSpec(type="address", address="tcp://127.0.0.1:9", connect_timeout=1.0)
    with pytest.raises(ClusterLost, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:9"), open_client(spec):
        pass


@pytest.mark.parametrize(
    ("kind", "extra"), [("cuda", "cuda12"), ("slurm", "slurm"), ("kubernetes", "k8s"), ("moon", "Unknown cluster")]
)
def test_a_cluster_whose_package_is_missing_names_the_extra(
    kind: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("dask_cuda", "dask_jobqueue", "dask_kubernetes", "dask_kubernetes.operator"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=extra), open_client(ClusterSpec(type=kind)):
        pass
