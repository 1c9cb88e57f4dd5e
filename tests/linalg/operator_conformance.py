"""What every operator promises; subclass and give ``make`` to check another implementation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from problems import with_spectrum

from ntkdist.linalg import DenseOperator, Operator


class OperatorConformance:
    sizes: tuple[int, ...] = (1, 2, 3, 19, 20, 21, 61)

    def make(self, dense: Any) -> Operator:
        raise NotImplementedError

    @pytest.fixture(params=["float32", "float64"])
    def dtype(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def cases(self, dtype: str) -> list[Any]:
        rng = np.random.default_rng(5)
        return [with_spectrum(rng.uniform(0.1, 1, n), rng).astype(dtype) for n in self.sizes]

    def test_shape_and_dtype_are_the_matrix_s(self, dtype: str) -> None:
        for dense in self.cases(dtype):
            op = self.make(dense)
            assert op.shape == dense.shape
            assert op.dtype == np.dtype(dtype)

    @pytest.mark.parametrize("s", [1, 2, 15, 40])
    def test_matmat_is_the_dense_product_in_float64(self, dtype: str, s: int) -> None:
        for dense in self.cases(dtype):
            v = np.random.default_rng(1).standard_normal((len(dense), s))
            got = self.make(dense).matmat(v)
            assert got.dtype == np.float64
            np.testing.assert_allclose(got, dense.astype(np.float64) @ v, rtol=0, atol=1e-13)

    def test_matmat_leaves_its_argument_alone_and_repeats_its_bits(self, dtype: str) -> None:
        dense = self.cases(dtype)[-1]
        op, v = self.make(dense), np.random.default_rng(1).standard_normal((len(dense), 3))
        before = v.copy()
        assert np.array_equal(op.matmat(v), op.matmat(v))
        assert np.array_equal(v, before)

    def test_diagonal_columns_and_blocks_are_the_stored_entries(self, dtype: str) -> None:
        for dense in self.cases(dtype):
            op, n = self.make(dense), len(dense)
            rng = np.random.default_rng(2)
            rows, cols = rng.integers(0, n, 7), rng.integers(0, n, 4)
            assert np.array_equal(op.diagonal(), np.diagonal(dense))
            assert np.array_equal(op.columns(cols), dense[:, cols])
            assert np.array_equal(op.block(rows, cols), dense[np.ix_(rows, cols)])
            assert op.block(rows, cols).dtype == op.diagonal().dtype == op.columns(cols).dtype == np.float64


class TestDenseOperator(OperatorConformance):
    def make(self, dense: Any) -> Operator:
        return DenseOperator(dense)
