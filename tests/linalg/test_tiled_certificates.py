"""Certificates from tiles: the same promises as from a dense factorization, in memory, on disk, without one."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
from problems import relu_ntk, with_spectrum

from ntkdist.linalg import (
    Breakdown,
    Deduplicated,
    DenseOperator,
    DiskTiles,
    Eigenpair,
    attempt_tiled,
    certify,
    factorise,
    lambda_max,
    lower_tiles,
    memory,
    tiled_cholesky,
)


def smallest(a):
    w, v = np.linalg.eigh(a)
    return Eigenpair(float(w[0]), v[:, 0], 0.0, 1, True, "")


@pytest.mark.parametrize("tile", [1, 7, 16, 100])
def test_a_tiled_factorization_proves_what_a_dense_one_does(tile):
    for trial in range(40):
        rng = np.random.default_rng(trial)
        n = int(rng.integers(1, 50))
        a = with_spectrum(10.0 ** rng.uniform(-7, 0, n), rng)
        low = float(np.linalg.eigvalsh(a)[0])
        op = DenseOperator(a, tile_size=tile)
        done = attempt_tiled(op, op.diagonal(), low * (1 - 1e-6))
        if low > 1e-6:
            assert done.lower is not None
            assert low * (1 - 1e-5) < done.lower
        assert done.lower is None or done.lower <= low + 4e-15 * n
        failed = attempt_tiled(op, op.diagonal(), low + 1e-6)
        assert failed.lower is None
        v = failed.witness / np.linalg.norm(failed.witness)
        assert v @ a @ v <= low + 1e-6 + 1e-12


def test_the_witness_of_every_pivot_is_a_direction_of_no_positive_curvature():
    rng = np.random.default_rng(0)
    base = with_spectrum(np.linspace(1, 2, 23), rng)
    for row in range(23):
        a = base.copy()
        a[row, row] = a[row, :row] @ np.linalg.solve(a[:row, :row], a[:row, row]) - 0.1 if row else -0.1
        found = factorise(DenseOperator(a, tile_size=5))
        assert isinstance(found, Breakdown)
        assert found.row == row
        v = found.witness
        assert v @ a @ v == pytest.approx(-0.1, abs=1e-12)


def test_beyond_memory_the_rigorous_grade_goes_by_tiles_on_disk(tmp_path, monkeypatch):
    a = relu_ntk(np.random.default_rng(0).standard_normal((150, 30)))
    op = DenseOperator(a, tile_size=40)
    pair, top = smallest(a), lambda_max(op)
    monkeypatch.setattr(memory, "LARGEST_DENSE", 100)
    without, _ = certify(op, pair, top)
    assert without.grade == "residual"
    opened = []

    @contextmanager
    def scratch():
        opened.append(DiskTiles(tmp_path / str(len(opened))))
        yield opened[-1]

    low, high = certify(op, pair, top, scratch=scratch)
    assert low.grade == high.grade == "rigorous"
    assert "tile by tile" in low.reason
    assert low.lower <= pair.value <= low.upper
    assert low.lower > pair.value * (1 - 2e-8)
    assert high.lower <= np.linalg.eigvalsh(a)[-1] * (1 + 1e-14) <= high.upper * (1 + 1e-14)
    assert high.upper < top.value * (1 + 1e-6)
    assert len(opened[0]) == 10


def test_lambda_max_needs_no_factorization_where_it_stands_clear(monkeypatch):
    a = relu_ntk(np.random.default_rng(0).standard_normal((150, 30)))
    op = DenseOperator(a)
    top = lambda_max(op)
    truth = np.linalg.eigvalsh(a)[-1]
    clear = certify(op, smallest(a), top)[1]
    assert "‖K‖²_F" in clear.reason
    assert clear.lower <= truth <= clear.upper
    flat = with_spectrum(np.linspace(0.9, 1, 30), np.random.default_rng(1))
    other = certify(DenseOperator(flat), smallest(flat), lambda_max(DenseOperator(flat)))[1]
    assert "σI − K" in other.reason
    assert other.lower <= 1 <= other.upper + 1e-14
    monkeypatch.setattr(memory, "LARGEST_DENSE", 10)
    scratch = lambda: contextmanager(lambda: iter([{}]))()  # noqa: E731
    weak = certify(DenseOperator(flat), smallest(flat), lambda_max(DenseOperator(flat)), scratch=scratch)[1]
    assert weak.grade == "residual"
    assert "does not stand clear" in weak.reason


def test_a_matrix_with_nan_in_a_tile_is_named_not_certified():
    a = np.eye(30)
    a[20, 3] = a[3, 20] = np.nan
    pair = Eigenpair(1.0, np.eye(30)[0], 0.0, 1, True, "")
    for end in certify(DenseOperator(a, tile_size=8), pair, pair):
        assert end.grade == "residual"
        assert "not finite" in end.reason


def test_disk_tiles_are_a_mapping_that_keeps_values_and_says_what_is_missing(tmp_path):
    store = DiskTiles(tmp_path / "factor")
    a = with_spectrum(np.linspace(1, 2, 25), np.random.default_rng(0))
    factor = tiled_cholesky(DenseOperator(a, tile_size=10), store=store)
    assert sorted(store) == [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]
    np.testing.assert_allclose(factor.solve(np.ones((25, 1))), np.linalg.solve(a, np.ones((25, 1))))
    del store[1, 0]
    with pytest.raises(KeyError):
        store[1, 0]
    with pytest.raises(KeyError):
        del store[1, 0]


def test_an_operator_without_tiles_shows_blocks_in_their_place():
    a = with_spectrum(np.linspace(1, 2, 25), np.random.default_rng(0))
    unique = Deduplicated(DenseOperator(a), [np.array([0, 24])])
    out = np.zeros((24, 24))
    for rows, cols, tile in lower_tiles(unique):
        out[rows, cols] = tile
    np.testing.assert_array_equal(np.tril(out), np.tril(a[:24, :24]))
