"""Tiles are believed with their receipt only, and a damaged one is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntkdist.errors import ChecksFailed, InputError, OutOfSpace
from ntkdist.store import Identity, Place, Receipt, RunStore, refuse_without_room, sweep_partial
from ntkdist.store.durable import disk_errors
from ntkdist.tiling import Tiling, auto_tile


def identity(n: int = 10, tile: int = 4, **changes: object) -> Identity:
    fields = {"kernel": "k", "which": "ntk", "data": "d", "compute": "float64", "storage": "float64"}
    return Identity(**{**fields, "tile": tile, "n": n, **changes})


def filled(root: Path, storage: str = "float64") -> tuple[RunStore, np.ndarray]:
    store = RunStore.create(root)
    store.claim(identity(storage=storage), {})
    matrix = np.random.default_rng(0).standard_normal((10, 10))
    matrix = matrix + matrix.T
    tiles = store.tiles
    tiles.record([tiles.write(i, j, matrix[tiles.tiling.rows(i), tiles.tiling.rows(j)], 0.1) for i, j in tiles.tiling])
    return store, matrix


@settings(deadline=None, max_examples=100)
@given(n=st.integers(1, 200), tile=st.integers(1, 250))
def test_every_entry_of_the_lower_triangle_is_in_exactly_one_tile(n: int, tile: int) -> None:
    tiling = Tiling(n, tile)
    seen = np.zeros((n, n), dtype=int)
    for i, j in tiling:
        seen[tiling.rows(i), tiling.rows(j)] += 1
    assert np.all(seen[np.tril_indices(n)] == 1)
    assert seen.sum() == tiling.stored_entries()
    assert len(list(tiling)) == tiling.count


@pytest.mark.parametrize("n", [1, 5, 1000, 10**5, 10**7])
def test_the_automatic_tile_fits_and_leaves_several_bands(n: int) -> None:
    tile = auto_tile(n, 4)
    assert 1 <= tile <= n
    assert n < 2000 or Tiling(n, tile).bands >= 4


@pytest.mark.parametrize("storage", ["float64", "float32"])
def test_tiles_come_back_bit_for_bit_and_receipts_say_what_was_rounded(tmp_path: Path, storage: str) -> None:
    store, matrix = filled(tmp_path / "a.zarr", storage)
    tiles = RunStore(tmp_path / "a.zarr").tiles
    assert not tiles.missing()
    total = 0.0
    for i, j in tiles.tiling:
        part = matrix[tiles.tiling.rows(i), tiles.tiling.rows(j)]
        np.testing.assert_array_equal(tiles.read(i, j), part.astype(storage))
        receipt = tiles.receipt(i, j)
        assert receipt is not None
        assert receipt.min == part.astype(storage).min()
        total += receipt.rounding
    assert (total > 0) == (storage == "float32")
    assert store.identity == identity(storage=storage)


def test_a_written_tile_without_receipt_is_missing(tmp_path: Path) -> None:
    store = RunStore.create(tmp_path / "a.zarr")
    store.claim(identity(), {})
    store.tiles.write(2, 1, np.ones((2, 4)), 0.0)
    assert (2, 1) in RunStore(tmp_path / "a.zarr").tiles.missing()
    with pytest.raises(ChecksFailed, match="not computed yet"):
        store.tiles.read(2, 1)


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "delete", "swap"])
def test_a_damaged_tile_is_noticed_at_its_first_read_and_named(tmp_path: Path, damage: str) -> None:
    store, _ = filled(tmp_path / "a.zarr")
    chunk = store.tiles.chunk_path(1, 0)
    data = bytearray(chunk.read_bytes())
    if damage == "flip":
        data[17] ^= 4
        chunk.write_bytes(data)
    elif damage == "truncate":
        chunk.write_bytes(data[:50])
    elif damage == "empty":
        chunk.write_bytes(b"")
    elif damage == "delete":
        chunk.unlink()
    else:
        chunk.write_bytes(store.tiles.chunk_path(1, 1).read_bytes())
    tiles = store.tiles
    with pytest.raises(ChecksFailed, match=r"Tile \(1, 0\).*--repair"):
        tiles.read(1, 0)
    tiles.read(2, 2)


def test_a_damaged_or_moved_receipt_is_not_believed() -> None:
    here = Place(3, 1, (4, 4), 77)
    record = Receipt(3, 1, 123, 0.0, 1.0, 0.0, 0.5, 2).record(here)
    assert Receipt.from_record(here, record) == Receipt(3, 1, 123, 0.0, 1.0, 0.0, 0.5, 2)
    for other in (Place(2, 1, (4, 4), 77), Place(3, 1, (4, 3), 77), Place(3, 1, (4, 4), 78)):
        assert Receipt.from_record(other, record) is None
    record[1] += 1
    assert Receipt.from_record(here, record) is None


def test_a_tile_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    store = RunStore.create(tmp_path / "a.zarr")
    store.claim(identity(storage="float32"), {})
    with pytest.raises(ChecksFailed, match="overflows"):
        store.tiles.write(0, 0, np.full((4, 4), 1e60), 0.0)


@pytest.mark.parametrize(
    ("change", "word"),
    [({"kernel": "x"}, "kernel"), ({"data": "x"}, "data"), ({"tile": 5}, "tile"), ({"storage": "float32"}, "storage")],
)
def test_a_store_refuses_another_identity(tmp_path: Path, change: dict[str, object], word: str) -> None:
    store, _ = filled(tmp_path / "a.zarr")
    with pytest.raises(InputError, match=f"another {word}|other {word}"):
        store.claim(identity(**change), {})
    assert not RunStore(tmp_path / "a.zarr").tiles.missing()


def test_what_is_not_a_run_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        RunStore(tmp_path / "none.zarr")
    with pytest.raises(InputError, match="is not a run store"):
        RunStore(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="not a run store"):
        RunStore.create(tmp_path / "mine")
    (tmp_path / "b.zarr").mkdir()
    (tmp_path / "b.zarr" / "zarr.json").write_text("{broken")
    with pytest.raises(InputError, match="cannot be opened"):
        RunStore(tmp_path / "b.zarr")


def test_a_half_written_stage_is_not_read_and_a_damaged_array_is_noticed(tmp_path: Path) -> None:
    store, _ = filled(tmp_path / "a.zarr")
    store.write_array("solution/weights", np.ones(3))
    assert store.stage("solution") is None
    store.finish_stage("solution", "key", {"a": 1}, {"weights": np.arange(3.0)})
    assert store.stage("solution", "other key") is None
    finished = store.stage("solution", "key")
    assert finished is not None
    assert finished.result == {"a": 1}
    np.testing.assert_array_equal(store.stage_array("solution", "weights"), np.arange(3.0))
    chunk = next((tmp_path / "a.zarr" / "solution" / "weights" / "c").iterdir())
    chunk.write_bytes(bytes(reversed(chunk.read_bytes())))
    with pytest.raises(ChecksFailed, match="solution/weights"):
        store.stage_array("solution", "weights")
    with pytest.raises(ValueError, match="JSON"):
        store.finish_stage("theory", "key", {"a": float("nan")})


def test_no_room_is_refused_before_writing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="free"):
        refuse_without_room(tmp_path / "deep" / "a.zarr", 1 << 60)
    refuse_without_room(tmp_path, 10)


@pytest.mark.parametrize(
    ("number", "kind"),
    [(28, OutOfSpace), (122, OutOfSpace), (5, OutOfSpace), (24, OutOfSpace), (30, InputError), (13, InputError)],
)
def test_disk_errors_become_sentences(tmp_path: Path, number: int, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=str(tmp_path)), disk_errors(tmp_path):
        raise OSError(number, "x")
    with pytest.raises(FileNotFoundError, match="x"), disk_errors(tmp_path):
        raise FileNotFoundError(2, "x")


def test_orphans_of_a_killed_writer_are_swept(tmp_path: Path) -> None:
    (tmp_path / "gram").mkdir()
    (tmp_path / "gram" / "x.partial").write_text("")
    assert sweep_partial(tmp_path) == 1
    assert not list(tmp_path.rglob("*.partial"))


def test_a_creation_killed_before_its_first_file_was_in_place_is_continued(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "zarr.json.0123.partial").write_text("{")
    assert RunStore.create(tmp_path / "a.zarr").identity is None


def test_a_stage_whose_removal_was_killed_half_way_does_not_look_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = filled(tmp_path / "a.zarr")
    store.finish_stage("solution", "key", {"a": 1}, {"weights": np.arange(3.0)})

    def killed(folder: Path, topdown: bool) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ntkdist.store.disk.os.walk", killed)
    with pytest.raises(KeyboardInterrupt):
        store.drop_stage("solution")
    monkeypatch.undo()
    again = RunStore.create(tmp_path / "a.zarr")
    assert again.stage("solution", "key") is None
    again.finish_stage("solution", "key", {"a": 2}, {"weights": np.arange(3.0)})
    assert again.stage("solution", "key") is not None
