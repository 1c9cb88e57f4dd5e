"""K·V over workers equals K·V in this process, bit for bit, whoever computes it and whoever dies."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from distributed import Client
from sources import MatrixSource, symmetric

from ntkdist.cluster import ClusterSpec, DistributedOperator, TiledOperator, open_client
from ntkdist.linalg import Operator
from ntkdist.tiling import Tiling

sys.path.append(str(Path(__file__).resolve().parents[1] / "linalg"))
from operator_conformance import OperatorConformance

TILING = Tiling(301, 37)


def here(tiling: Tiling = TILING, dtype: str = "float64") -> TiledOperator:
    return TiledOperator(tiling, MatrixSource(tiling, dtype).open(None), np.dtype(dtype))


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with open_client(ClusterSpec(type="local", workers=2)) as opened:
        yield opened


def spread(client: Client, source: MatrixSource | None = None, **settings: object) -> DistributedOperator:
    source = source or MatrixSource(TILING)
    return DistributedOperator(client, source, source.tiling, np.dtype(source.dtype), **settings)  # type: ignore[arg-type]


class TestDistributedOperator(OperatorConformance):
    sizes = (1, 2, 61)

    @pytest.fixture(autouse=True)
    def _client(self, client: Client) -> None:
        self.client = client

    def make(self, dense: np.ndarray) -> Operator:
        tiling = Tiling(len(dense), 20)
        self.seed = getattr(self, "seed", 1000) + 1
        source = MatrixSource(tiling, str(dense.dtype), self.seed)
        return DistributedOperator(self.client, source, tiling, dense.dtype, budget=1 << 20, data=dense)


@pytest.mark.parametrize(("budget", "ahead"), [(0, 0), (0, 2), (1 << 30, 0), (200_000, 1)])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_mode_gives_the_bits_of_one_process(client: Client, budget: int, ahead: int, dtype: str) -> None:
    v = np.random.default_rng(0).standard_normal((301, 5))
    op = spread(client, MatrixSource(TILING, dtype, seed=budget + ahead), budget=budget, ahead=ahead)
    expected = TiledOperator(
        TILING, MatrixSource(TILING, dtype, seed=budget + ahead).open(None), np.dtype(dtype)
    ).matmat(v)
    for _ in range(2):
        np.testing.assert_array_equal(op.matmat(v), expected)
    held = sum(op.held_bytes().values())
    assert held <= 2 * budget
    assert (held > 0) == (budget > 0)
    op.close()
    assert sum(op.held_bytes().values()) == 0


def test_a_block_comes_from_the_tiles_that_workers_hold(client: Client) -> None:
    op = spread(client, MatrixSource(TILING, seed=77), budget=1 << 30)
    matrix = symmetric(301, 77)
    rows, cols = np.array([300, 0, 150, 150]), np.array([3, 299, 77])
    np.testing.assert_array_equal(op.block(rows, cols), matrix[np.ix_(rows, cols)])
    op.matmat(np.ones((301, 1)))
    np.testing.assert_array_equal(op.block(rows, cols), matrix[np.ix_(rows, cols)])
    np.testing.assert_array_equal(op.columns(np.array([7, 8])), matrix[:, [7, 8]])


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_changes_no_bit(workers: int) -> None:
    v = np.random.default_rng(1).standard_normal((301, 3))
    with open_client(ClusterSpec(type="local", workers=workers, threads_per_worker=1)) as client:
        np.testing.assert_array_equal(spread(client, budget=1 << 30).matmat(v), here().matmat(v))


def test_a_killed_worker_changes_no_bit_and_its_tiles_come_back(tmp_path: Path) -> None:
    v = np.random.default_rng(2).standard_normal((301, 3))
    flag = tmp_path / "deadly"
    flag.touch()
    with open_client(ClusterSpec(type="local", workers=2, threads_per_worker=1)) as client:
        op = spread(client, MatrixSource(TILING, deadly=str(flag)), budget=1 << 30)
        np.testing.assert_array_equal(op.matmat(v), here().matmat(v))
        assert not flag.exists(), "no worker was killed in the pass"
        victim = client.run(os.getpid)
        os.kill(next(iter(victim.values())), signal.SIGKILL)
        np.testing.assert_array_equal(op.matmat(v), here().matmat(v))
        client.wait_for_workers(2, timeout=30)
        np.testing.assert_array_equal(op.matmat(v), here().matmat(v))
        assert sum(op.held_bytes().values()) == TILING.stored_entries() * 8


def test_an_error_of_a_tile_is_raised_as_it_is(client: Client) -> None:
    op = spread(client, MatrixSource(TILING, seed=5), data="not a matrix")
    with pytest.raises(AttributeError, match="astype"):
        op.matmat(np.ones((301, 1)))
