"""Appended rows give the matrix of all rows at once, bit for bit, and only tiles that touch them are computed."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ntkdist as ntk
from ntkdist.config import RunConfig, parse_config
from ntkdist.data import ArraySource
from ntkdist.errors import InputError
from ntkdist.moments import on_moment
from ntkdist.pipeline.append import append_rows
from ntkdist.pipeline.run import run
from ntkdist.store import RunStore

KERNEL = ntk.Kernel(depth=2)
X = np.random.default_rng(0).standard_normal((60, 5))
Y = np.arange(60) % 3


def chunks(root: Path) -> dict[str, tuple[int, int]]:
    folder = root / "gram" / "c"
    return {
        str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.stat().st_ino) for p in folder.rglob("*") if p.is_file()
    }


@settings(deadline=None, max_examples=5)
@given(tile=st.integers(3, 20), cuts=st.lists(st.integers(1, 59), min_size=1, max_size=2, unique=True))
def test_a_grown_matrix_is_that_of_all_rows_at_once(
    tmp_path_factory: pytest.TempPathFactory, tile: int, cuts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("append")
    cuts = sorted(c for c in cuts if c >= tile)
    bounds = [0, *cuts, 60]
    ntk.gram(X[: bounds[1]], KERNEL, store=folder / "a.zarr", tile=tile)
    for low, high in pairwise(bounds[1:]):
        ntk.append(folder / "a.zarr", X[low:high])
    whole = ntk.gram(X, KERNEL, store=folder / "b.zarr", tile=tile)
    grown = ntk.open(folder / "a.zarr").gram
    np.testing.assert_array_equal(grown.to_numpy(), whole.to_numpy())
    one, other = RunStore(folder / "a.zarr"), RunStore(folder / "b.zarr")
    assert one.identity == other.identity
    assert [r.checksum for r in one.tiles.receipts()] == [r.checksum for r in other.tiles.receipts()]
    again = ntk.gram(X, KERNEL, store=folder / "a.zarr")
    np.testing.assert_array_equal(again.to_numpy(), whole.to_numpy())


def test_tiles_of_old_rows_are_not_written_again(tmp_path: Path) -> None:
    root = tmp_path / "a.zarr"
    ntk.gram(X[:20], KERNEL, store=root, tile=10)
    before = chunks(root)
    computed = []
    with on_moment(lambda moment, *where: computed.append(where) if moment == "tile.computed" else None):
        append_rows(root, ArraySource("new", X[20:33], None))
    assert sorted(computed) == [(2, 0), (2, 1), (2, 2), (3, 0), (3, 1), (3, 2), (3, 3)]
    after = chunks(root)
    assert {name: after[name] for name in before} == before


def config(folder: Path, *overrides: str) -> RunConfig:
    np.savez(folder / "d.npz", x=X[:40], y=Y[:40])
    tree = {"data": {"path": str(folder / "d.npz")}, "gram": {"tile": 9}, "store": str(folder / "a.zarr")}
    return parse_config({**tree, "kernel": {"depth": 2}}, overrides)


def test_a_run_goes_on_over_the_grown_matrix(tmp_path: Path) -> None:
    settings = config(tmp_path)
    first = run(settings)
    root = tmp_path / "a.zarr"
    verdict = append_rows(root, ArraySource("new", X[40:], Y[40:]))
    assert (verdict["appended"], verdict["n"]) == (20, 52)
    opened = ntk.open(root)
    with pytest.raises(InputError, match="no finished spectrum"):
        _ = opened.spectrum
    results = run(settings)
    assert results["complete"]
    assert results["data"]["n_train"] == 52
    assert results["identity"] != first["identity"]
    k = ntk.open(root).gram.to_numpy()
    assert results["spectrum"]["lambda_min"]["value"] == pytest.approx(np.linalg.eigvalsh(k)[0], rel=1e-8)
    weights = ntk.open(root).solution.values
    assert weights.shape == (52, 3)
    again = append_rows(root, ArraySource("new", X[40:], Y[40:]))
    assert (again["appended"], again["computed"]) == (0, 0)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (X[:, :3], Y, "3 features"),
        (X, None, "no targets"),
        (X, Y + 1, "class '3'"),
        (np.full((2, 5), np.nan), Y[:2], "NaN"),
        (np.zeros((2, 5)), Y[:2], "direction"),
    ],
)
def test_rows_that_do_not_fit_are_refused_and_nothing_changes(tmp_path: Path, x: Any, y: Any, words: str) -> None:
    settings = config(tmp_path)
    run(settings)
    before = RunStore(tmp_path / "a.zarr").identity
    with pytest.raises(InputError, match=words):
        append_rows(tmp_path / "a.zarr", ArraySource("new", x, y))
    assert RunStore(tmp_path / "a.zarr").identity == before
    assert RunStore(tmp_path / "a.zarr").stage("spectrum") is not None


def test_regression_targets_are_appended_as_numbers(tmp_path: Path) -> None:
    settings = config(tmp_path, "data.task=regression", "data.normalise=standardise")
    run(settings)
    append_rows(tmp_path / "a.zarr", ArraySource("new", X[40:], Y[40:].astype(float)))
    inputs = ntk.open(tmp_path / "a.zarr").inputs
    np.testing.assert_array_equal(inputs["y_train"].values[-20:, 0], Y[40:])
    for bad, words in ((np.ones((20, 2)), "2 columns"), (np.array(["a"] * 20), "numbers")):
        with pytest.raises(InputError, match=words):
            append_rows(tmp_path / "a.zarr", ArraySource("new", X[40:] + 1, bad))
    with pytest.raises(InputError, match="does not exist"):
        append_rows(tmp_path / "none.zarr", ArraySource("new", X, Y))
