"""What is remembered of rows is what would be computed, and never more than the limit."""

from __future__ import annotations

import numpy as np
import pytest

from ntkdist.kernels import Kernel
from ntkdist.kernels.row_memory import ROWS, RowMemory


@pytest.mark.parametrize("activation", ["relu", "erf", "gelu"])
def test_tiles_have_the_same_bits_with_and_without_memory(activation: str) -> None:
    x = np.random.default_rng(0).standard_normal((60, 5))
    kernel = Kernel(3, activation=activation, sigma_b=0.3)
    ROWS.clear()
    first = kernel.tile(x, x.copy())
    np.testing.assert_array_equal(kernel.tile(x, x.copy()), first)
    np.testing.assert_array_equal(kernel.tile(x[::-1].copy(), x.copy()), first[::-1])
    np.testing.assert_array_equal(np.diag(first), kernel.diagonal(x))


def test_kernels_precisions_and_kinds_do_not_share() -> None:
    x = np.random.default_rng(1).standard_normal((20, 3))
    seen = [k.diagonal(x, which).sum() for k in (Kernel(1), Kernel(2)) for which in ("ntk", "nngp")]
    assert len(set(seen)) == 4
    assert Kernel(1).diagonal(x.astype(np.float32)).dtype == np.float32


def test_a_caller_may_change_the_diagonal_it_got() -> None:
    x = np.random.default_rng(2).standard_normal((20, 3))
    kernel = Kernel(2)
    want = kernel.diagonal(x)
    kernel.diagonal(x)[:] = 0
    np.testing.assert_array_equal(kernel.diagonal(x), want)
    np.testing.assert_array_equal(np.diag(kernel.tile(x, x)), want)


def test_the_oldest_values_go_when_the_limit_is_reached_and_heavy_ones_are_not_kept() -> None:
    memory, made = RowMemory(limit=1000), []

    def ask(n: float, size: int = 92) -> float:
        return memory.get(("a",), np.array([n]), lambda: made.append(n) or n, size)

    for n in range(10):
        assert ask(n) == n
    ask(0.0)
    assert made == list(range(10))
    ask(10.0)
    ask(0.0)
    assert made == [*range(10), 10]
    ask(1.0)
    assert made == [*range(10), 10, 1]
    for _ in range(2):
        ask(20.0, 400)
    assert made.count(20) == 2
    memory.clear()
    ask(0.0)
    assert made.count(0) == 2
