"""The functions of a notebook: gram, spectrum, solve, theory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ntkdist as ntk
from ntkdist.errors import InputError

X = np.random.default_rng(0).standard_normal((120, 6))
Y = np.sin(X[:, :2])
KERNEL = ntk.Kernel(depth=2, activation="erf", sigma_w=1.3, sigma_b=0.2)


@pytest.fixture(scope="module")
def gram() -> object:
    return ntk.gram(X, KERNEL, tile=50)


def test_in_memory_stored_and_recomputed_are_the_same_matrix(tmp_path: Path) -> None:
    memory = ntk.gram(X, KERNEL, tile=50)
    stored = ntk.gram(X, KERNEL, store=tmp_path / "a.zarr", tile=50)
    recomputed = ntk.gram(X, KERNEL, tile=50, mode="recomputed")
    np.testing.assert_array_equal(memory.to_numpy(), stored.to_numpy())
    np.testing.assert_array_equal(memory.to_numpy(), recomputed.to_numpy())
    np.testing.assert_allclose(memory.to_numpy(), KERNEL.tile(X, X), rtol=1e-13)
    again = ntk.gram(X, KERNEL, store=tmp_path / "a.zarr", tile=50)
    np.testing.assert_array_equal(again.to_numpy(), stored.to_numpy())
    np.testing.assert_array_equal(ntk.open(tmp_path / "a.zarr").gram.to_numpy(), stored.to_numpy())
    with pytest.raises(InputError, match="other data"):
        ntk.gram(X + 1, KERNEL, store=tmp_path / "a.zarr", tile=50)


def test_spectrum_solve_and_theory_agree_with_lapack(gram: ntk.Theory) -> None:
    dense = gram.to_numpy()
    s = ntk.spectrum(gram)
    exact = np.linalg.eigvalsh(dense)
    assert s.lambda_min.lower <= exact[0] <= s.lambda_min.upper
    w = ntk.solve(gram, Y, rtol=1e-9)
    np.testing.assert_allclose(dense @ w.x, Y, atol=1e-7)
    assert ntk.solve(gram, Y[:, 0]).x.shape == (120,)
    t = ntk.theory(gram, Y, spectrum=s, solution=w)
    assert t["stable_step"].upper == pytest.approx(2 / exact[-1], rel=1e-6)
    assert set(t.to_dict()) == {statement.key for statement in t.statements}
    with pytest.raises(KeyError, match="there are"):
        t["nope"]
    assert ntk.theory(gram, Y, ridge=0.1).statements


def test_float32_rows_are_computed_in_float32_and_bounded(tmp_path: Path) -> None:
    low = ntk.gram(X.astype(np.float32), KERNEL)
    high = ntk.gram(X, KERNEL)
    assert low.dtype == np.float32
    assert np.linalg.norm(low.to_numpy() - high.to_numpy(), 2) <= low.error_norm + 1e-5 * np.linalg.norm(
        high.to_numpy(), 2
    )
    rounded = ntk.gram(X, KERNEL, storage="float32")
    assert np.linalg.norm(rounded.to_numpy() - high.to_numpy(), 2) <= rounded.error_norm


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"x": np.full((3, 2), np.nan)}, "NaN"),
        ({"x": np.zeros((0, 2))}, "no rows"),
        ({"which": "ntkk"}, "Unknown kernel"),
        ({"tile": 0}, "positive whole number"),
        ({"tile": "big"}, "positive whole number"),
        ({"storage": "float16"}, "storage"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, object], words: str) -> None:
    given = {"x": X, "kernel": KERNEL, **arguments}
    with pytest.raises(InputError, match=words):
        ntk.gram(**given)


def test_bad_targets_are_refused(gram: ntk.Theory) -> None:
    with pytest.raises(InputError, match="120 rows"):
        ntk.solve(gram, np.ones(3))
    with pytest.raises(InputError, match=r"rows \[4\]"):
        ntk.solve(gram, np.where(np.arange(120) == 4, np.nan, 1.0))
    with pytest.raises(InputError, match="ridge"):
        ntk.solve(gram, Y, ridge=-1.0)
    with pytest.raises(InputError, match="certificate"):
        ntk.spectrum(gram, certificate="maybe")


def test_a_zero_row_is_refused_where_the_kernel_needs_a_direction() -> None:
    x = X.copy()
    x[5] = 0
    with pytest.raises(InputError, match="row 5"):
        ntk.gram(x, ntk.Kernel(depth=2))
    ntk.gram(x, KERNEL)


def test_the_labelled_view_indexes_and_converts(gram: ntk.Theory) -> None:
    np.testing.assert_array_equal(gram[3:5, 100:].values, gram.to_numpy()[3:5, 100:])
    np.testing.assert_array_equal(np.asarray(gram), gram.values)
    np.testing.assert_array_equal(gram.compute().values, gram.values)
    np.testing.assert_array_equal(gram.sel(row=3).values, gram.values[3])
    assert np.asarray(gram, dtype=np.float32).dtype == np.float32
    assert gram.dims == ("row", "column")
    assert not list(gram.coords)
    np.testing.assert_allclose(gram.matmat(Y), gram @ Y)
    assert "120 × 120" in repr(gram)
