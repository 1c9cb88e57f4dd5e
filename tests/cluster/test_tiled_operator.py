"""K·V over tiles equals the dense product, with the same bits for any number of threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntkdist.cluster import TiledOperator
from ntkdist.errors import InputError
from ntkdist.tiling import Tiling


def tiled(matrix: np.ndarray, tile: int, threads: int = 2, dtype: str = "float64") -> TiledOperator:
    tiling = Tiling(len(matrix), tile)
    stored = matrix.astype(dtype)
    return TiledOperator(tiling, lambda i, j: stored[tiling.rows(i), tiling.rows(j)], np.dtype(dtype), threads=threads)


def symmetric(n: int, seed: int = 0) -> np.ndarray:
    a = np.random.default_rng(seed).standard_normal((n, n))
    return a + a.T


@settings(deadline=None, max_examples=40)
@given(n=st.integers(1, 60), tile=st.integers(1, 70), s=st.integers(1, 5))
def test_products_columns_and_blocks_equal_the_dense_ones(n: int, tile: int, s: int) -> None:
    matrix, rng = symmetric(n), np.random.default_rng(1)
    op = tiled(matrix, tile)
    v = rng.standard_normal((n, s))
    np.testing.assert_allclose(op.matmat(v), matrix @ v, atol=1e-12 * n)
    np.testing.assert_allclose(op @ v[:, 0], matrix @ v[:, 0], atol=1e-12 * n)
    np.testing.assert_array_equal(op.diagonal(), np.diagonal(matrix))
    idx = rng.integers(0, n, size=4)
    np.testing.assert_array_equal(op.columns(idx), matrix[:, idx])
    rows = rng.integers(0, n, size=3)
    np.testing.assert_array_equal(op.block(rows, idx), matrix[np.ix_(rows, idx)])
    np.testing.assert_array_equal(op.to_numpy(), matrix)


def test_the_number_of_threads_changes_no_bit() -> None:
    matrix, v = symmetric(300), np.random.default_rng(0).standard_normal((300, 7))
    first = tiled(matrix, 37, threads=1).matmat(v)
    for threads in (2, 3, 8):
        np.testing.assert_array_equal(tiled(matrix, 37, threads=threads).matmat(v), first)


def test_float32_tiles_are_summed_in_float64() -> None:
    matrix, v = symmetric(200), np.random.default_rng(0).standard_normal((200, 3))
    product = tiled(matrix, 64, dtype="float32").matmat(v)
    assert product.dtype == np.float64
    np.testing.assert_allclose(product, matrix.astype(np.float32).astype(np.float64) @ v, atol=1e-12 * 200)


def test_a_dense_copy_is_refused_beyond_its_limit() -> None:
    with pytest.raises(InputError, match="max_bytes"):
        tiled(symmetric(20), 7).to_numpy(max_bytes=100)
