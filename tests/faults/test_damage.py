"""Damage at rest: `verify` names exactly what is damaged, `--repair` puts the very bits back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ntkdist as ntk
from ntkdist.config import parse_config
from ntkdist.errors import ChecksFailed, InputError
from ntkdist.pipeline.open_run import stored_kernel
from ntkdist.pipeline.prepare import prepare
from ntkdist.pipeline.progress import Silent
from ntkdist.pipeline.run import claimed_store, ensure_gram, open_session
from ntkdist.pipeline.verify import verify_run
from ntkdist.store import RunStore

N, TILE = 11, 4
X = np.random.default_rng(5).standard_normal((N + 3, 3))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with three held-out rows and something in every stage."""
    folder = tmp_path_factory.mktemp("finished")
    np.savez(folder / "d.npz", x=X, y=X[:, 0])
    tree = {
        "data": {"path": str(folder / "d.npz"), "test_fraction": 3 / len(X)},
        "kernel": {"depth": 1},
        "gram": {"tile": TILE},
        "store": str(folder / "a.zarr"),
    }
    config = parse_config(tree)
    with claimed_store(prepare(config)) as store, open_session(store, stored_kernel(store), config) as session:
        ensure_gram(session, Silent())
        # Results of the later stages, as far as the store knows them.
        store.finish_stage("spectrum", "key", {"lambda_min": {"value": 1.5}})
        store.finish_stage("solution", "key", {"converged": True}, {"weights": np.arange(N * 1.0)[:, None]})
        store.finish_stage("theory", "key", {"statements": [{"value": 2.5}]})
    return folder / "a.zarr"


@pytest.fixture
def root(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "a.zarr"))


def bits(root: Path) -> dict[str, bytes]:
    """Every file of the matrix and the rows (receipts hold times and differ)."""
    return {
        str(p.relative_to(root)): p.read_bytes()
        for part in ("gram", "inputs")
        for p in (root / part).rglob("*")
        if p.is_file() and "receipts" not in str(p)
    }


def flip(path: Path, offset: int, bit: int = 3) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << bit
    path.write_bytes(data)


def nothing_else(verdict: dict[str, Any], **named: Any) -> None:
    expected = {"damaged": [], "rows": [], "stages": [], "descriptions": [], **named}
    assert {key: verdict[key] for key in expected} == expected


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_any_flipped_bit_of_any_tile_is_named_and_nothing_else(finished: Path, data: st.DataObject) -> None:
    tiles = RunStore(finished).tiles
    i, j = data.draw(st.sampled_from(list(tiles.tiling)))
    rows, columns = tiles.tiling.size(i), tiles.tiling.size(j)
    at = (data.draw(st.integers(0, rows - 1)) * TILE + data.draw(st.integers(0, columns - 1))) * 8
    chunk = tiles.chunk_path(i, j)
    intact = chunk.read_bytes()
    try:
        flip(chunk, at + data.draw(st.integers(0, 7)), data.draw(st.integers(0, 7)))
        nothing_else(verify_run(finished, sample=0), damaged=[(i, j)])
        with pytest.raises(ChecksFailed, match=rf"Tile \({i}, {j}\)"):
            ntk.open(finished).gram.to_numpy()
    finally:
        chunk.write_bytes(intact)


def swap(root: Path) -> list[tuple[int, int]]:
    tiles = RunStore(root).tiles
    one, other = tiles.chunk_path(1, 0), tiles.chunk_path(1, 1)
    first = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(first)
    return [(1, 0), (1, 1)]


def cut(root: Path) -> list[tuple[int, int]]:
    path = RunStore(root).tiles.chunk_path(2, 1)
    path.write_bytes(path.read_bytes()[:40])
    return [(2, 1)]


def empty(root: Path) -> list[tuple[int, int]]:
    RunStore(root).tiles.chunk_path(0, 0).write_bytes(b"")
    return [(0, 0)]


def delete(root: Path) -> list[tuple[int, int]]:
    RunStore(root).tiles.chunk_path(2, 2).unlink()
    return [(2, 2)]


def bad_receipt(root: Path) -> list[tuple[int, int]]:
    flip(root / "receipts" / "c" / "1" / "0" / "0", 8 * 8 + 11)  # tile (1, 1), the field "checksum"
    return [(1, 1)]


def cut_receipts(root: Path) -> list[tuple[int, int]]:
    path = root / "receipts" / "c" / "2" / "0" / "0"
    path.write_bytes(path.read_bytes()[:100])
    return [(2, 0), (2, 1), (2, 2)]


def foreign_receipt(root: Path) -> list[tuple[int, int]]:
    receipts = root / "receipts" / "c"
    (receipts / "2" / "0" / "0").write_bytes((receipts / "1" / "0" / "0").read_bytes())
    return [(2, 0), (2, 1)]


@pytest.mark.parametrize("damage", [swap, cut, empty, delete, bad_receipt, cut_receipts, foreign_receipt])
def test_damage_of_tiles_and_receipts_is_named_exactly_and_repaired_to_the_bit(
    root: Path, damage: Callable[[Path], list[tuple[int, int]]]
) -> None:
    before = bits(root)
    named = damage(root)
    nothing_else(verify_run(root), damaged=named)
    repaired = verify_run(root, repair=True)
    nothing_else(repaired, damaged=named)
    assert repaired["repaired"]
    assert bits(root) == before
    nothing_else(verify_run(root))
    with pytest.raises(InputError, match="no finished spectrum"):
        _ = ntk.open(root).spectrum


def test_data_without_a_receipt_is_reported_and_never_used(root: Path) -> None:
    RunStore(root, mode="r+").tiles.forget([(1, 0)])
    tiles = RunStore(root).tiles
    tiles.chunk_path(1, 0).write_bytes(bytes(8 * TILE * TILE))
    (root / "gram" / "c" / "0" / "2").write_bytes(tiles.chunk_path(2, 0).read_bytes())
    verdict = verify_run(root)
    nothing_else(verdict)
    assert verdict["unreceipted"] == [(1, 0)]
    assert verdict["foreign"] == ["gram/c/0/2"]
    with pytest.raises(ChecksFailed, match="not computed"):
        tiles.read(1, 0)


def test_another_runs_tiles_with_their_receipts_are_not_believed(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "b.zarr"
    ntk.gram(X[:N] + 1, ntk.Kernel(depth=1), store=other, tile=TILE)
    for part in ("gram", "receipts"):
        shutil.rmtree(root / part / "c")
        shutil.copytree(other / part / "c", root / part / "c")
    assert RunStore(root).tiles.receipts() == []
    nothing_else(verify_run(root), damaged=sorted(RunStore(root).tiles.tiling))


@pytest.mark.parametrize("name", ["zarr.json", "gram/zarr.json", "receipts/zarr.json"])
@pytest.mark.parametrize("how", ["delete", "cut", "digit"])
def test_a_damaged_description_is_a_sentence_and_is_restored(root: Path, name: str, how: str) -> None:
    path = root / name
    intact = path.read_bytes()
    if how == "delete":
        path.unlink()
    elif how == "cut":
        path.write_bytes(intact[: len(intact) // 2])
    else:
        path.write_bytes(intact.replace(f"{N}".encode(), f"{N + 1}".encode(), 1).replace(b'"tile": 4', b'"tile": 5'))
        assert path.read_bytes() != intact or name == "receipts/zarr.json"
        if path.read_bytes() == intact:
            path.write_bytes(intact.replace(b"3", b"4", 1))
    with pytest.raises((ChecksFailed, InputError), match="--repair"):
        verify_run(root)
    verdict = verify_run(root, repair=True)
    nothing_else(verdict, descriptions=[name] if name == "zarr.json" else [name.split("/")[0]])
    assert json.loads(path.read_bytes()) == json.loads(intact)
    nothing_else(verify_run(root))


def test_both_root_descriptions_damaged_cannot_be_repaired_and_says_so(root: Path) -> None:
    for name in ("zarr.json", ".run.json"):
        (root / name).write_bytes(b"{")
    with pytest.raises(ChecksFailed, match="remove it and start the run again"):
        verify_run(root, repair=True)


@pytest.mark.parametrize("part", ["x_train", "x_test"])
def test_damaged_rows_are_noticed_at_their_first_read_and_read_again_from_the_dataset(root: Path, part: str) -> None:
    before = bits(root)
    flip(root / "inputs" / part / "c" / "0" / "0", 5)
    nothing_else(verify_run(root), rows=[(f"inputs/{part}", 0)])
    with pytest.raises(ChecksFailed, match=f"inputs/{part} is damaged"):
        RunStore(root).read_array(f"inputs/{part}")
    nothing_else(verify_run(root, repair=True), rows=[(f"inputs/{part}", 0)])
    assert bits(root) == before


@pytest.mark.parametrize(
    ("stage", "file"),
    [("solution", "weights/c/0/0"), ("inputs", "y_train/c/0/0"), ("spectrum", "zarr.json"), ("theory", "zarr.json")],
)
def test_a_damaged_stage_is_named_and_withdrawn(root: Path, stage: str, file: str) -> None:
    path = root / stage / file
    if file == "zarr.json":
        text = path.read_text()
        at = text.index('"value": ') + len('"value": ')
        path.write_text(text[:at] + "9" + text[at:])
    else:
        flip(path, 3)
    nothing_else(verify_run(root), stages=[stage])
    nothing_else(verify_run(root, repair=True), stages=[stage])
    if stage == "inputs":
        np.testing.assert_array_equal(len(RunStore(root).stage_array("inputs", "y_train")), N)
    else:
        assert RunStore(root).stage(stage) is None
    nothing_else(verify_run(root))


def test_damaged_rows_of_an_array_cannot_be_read_again_and_it_says_so(tmp_path: Path) -> None:
    ntk.gram(X, ntk.Kernel(depth=1), store=tmp_path / "a.zarr", tile=TILE)
    flip(tmp_path / "a.zarr" / "inputs" / "x_train" / "c" / "0" / "0", 5)
    with pytest.raises(ChecksFailed, match="made from an array"):
        verify_run(tmp_path / "a.zarr", repair=True)
