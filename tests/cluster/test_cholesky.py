"""The distributed factorization: LAPACK's ratio, the same bits as in one process, breakdowns with their witness."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from distributed import Client

from ntkdist.cluster import ClusterSpec, DistributedCholesky, open_client
from ntkdist.linalg import Breakdown, DenseOperator, DiskTiles, TiledFactor, attempt_tiled, factorise


@dataclass(frozen=True)
class Picklable:
    """Tiles of a saved matrix, as a worker reads them from a run store."""

    path: Path
    tile_size: int
    shape: tuple[int, int]

    def tile(self, i: int, j: int) -> np.ndarray:
        b = self.tile_size
        return np.load(self.path)[i * b : (i + 1) * b, j * b : (j + 1) * b]


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with open_client(ClusterSpec(type="local", workers=2, threads_per_worker=1)) as found:
        yield found


def matrix(n: int) -> np.ndarray:
    rng = np.random.default_rng(n)
    q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    a = (q * np.geomspace(1e-5, 1, n)) @ q.T
    return (a + a.T) / 2


@pytest.mark.parametrize(("n", "tile"), [(1, 3), (20, 20), (61, 20), (50, 7)])
def test_the_factor_passes_lapack_s_ratio_and_has_the_bits_of_one_process(
    client: Client, tmp_path: Path, n: int, tile: int
) -> None:
    a = matrix(n)
    np.save(tmp_path / "a.npy", a)
    told: list[int] = []
    store = DiskTiles(tmp_path / "l")
    op = Picklable(tmp_path / "a.npy", tile, a.shape)
    factor = DistributedCholesky(client)(op, store=store, progress=lambda done, total, residual: told.append(done))
    assert isinstance(factor, TiledFactor)
    b = np.random.default_rng(0).standard_normal((n, 3))
    x = factor.solve(b)
    norm = np.linalg.norm(a, 2)
    eps = 2.0**-52
    assert np.linalg.norm(a @ x - b) / (n * eps * (norm * np.linalg.norm(x) + np.linalg.norm(b))) < 30
    alone = factorise(DenseOperator(a, tile_size=tile))
    assert isinstance(alone, TiledFactor)
    for place in store:
        np.testing.assert_array_equal(store[place], alone.read(*place))
    assert told == list(range(1, len(store) + 1))


def test_a_breakdown_names_its_row_and_brings_its_witness(client: Client, tmp_path: Path) -> None:
    a = matrix(40)
    np.save(tmp_path / "a.npy", a)
    op = Picklable(tmp_path / "a.npy", 12, a.shape)
    low = float(np.linalg.eigvalsh(a)[0])
    broken = DistributedCholesky(client)(op, shift=-2 * low, store=DiskTiles(tmp_path / "l"))
    assert isinstance(broken, Breakdown)
    v = broken.witness
    assert v is not None
    assert v @ a @ v <= 2 * low * (v @ v) * (1 + 1e-9)
    proved = attempt_tiled(
        op, np.diagonal(a), low * (1 - 1e-6), store=DiskTiles(tmp_path / "m"), by=DistributedCholesky(client)
    )
    assert proved.lower is not None
    assert low * (1 - 1e-5) < proved.lower <= low * (1 + 1e-12)
