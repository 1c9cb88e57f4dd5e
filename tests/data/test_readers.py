"""Every reader gives the same rows by blocks, and says in one sentence what is wrong with a file."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr

from ntkdist.data import Source, open_source
from ntkdist.errors import InputError

X = np.random.default_rng(0).standard_normal((23, 4))
Y = np.arange(23) % 3


def npz(folder: Path) -> str:
    np.savez(folder / "d.npz", x=X, y=Y)
    return str(folder / "d.npz")


def npy(folder: Path) -> str:
    np.save(folder / "d.npy", X)
    np.save(folder / "y.npy", Y)
    return str(folder / "d.npy")


def csv(folder: Path) -> str:
    header = "a,b,y,c,d"
    table = np.column_stack([X[:, :2], Y, X[:, 2:]])
    np.savetxt(folder / "d.csv", table, delimiter=",", header=header, comments="", fmt="%.17g")
    return str(folder / "d.csv")


def zarr_group(folder: Path) -> str:
    group = zarr.create_group(folder / "d.zarr")
    group.create_array("x", data=X, chunks=(5, 4))
    group.create_array("y", data=Y)
    return str(folder / "d.zarr")


def hdf5(folder: Path) -> str:
    with h5py.File(folder / "d.h5", "w") as file:
        file["x"], file["y"] = X, Y
    return str(folder / "d.h5")


def parquet(folder: Path) -> str:
    table = pa.table({**{f"c{k}": X[:, k] for k in range(4)}, "y": Y})
    pq.write_table(table, folder / "d.parquet", row_group_size=7)
    return str(folder / "d.parquet")


def parquet_folder(folder: Path) -> str:
    (folder / "parts").mkdir()
    for k, part in enumerate((slice(0, 10), slice(10, 23))):
        table = pa.table({**{f"c{c}": X[part, c] for c in range(4)}, "y": Y[part]})
        pq.write_table(table, folder / "parts" / f"{k}.parquet")
    return str(folder / "parts")


def npz_compressed(folder: Path) -> str:
    np.savez_compressed(folder / "d.npz", x=X, y=Y)
    return str(folder / "d.npz")


def npz_by_columns(folder: Path) -> str:
    np.savez(folder / "d.npz", x=np.asfortranarray(X), y=Y)
    return str(folder / "d.npz")


def idx(folder: Path) -> str:
    (folder / "train-images-idx2-double").write_bytes(idx_bytes(X, 0x0E, ">f8"))
    (folder / "train-labels-idx1-double").write_bytes(idx_bytes(Y, 0x08, "u1"))
    return str(folder / "train-images-idx2-double")


def idx_gzipped(folder: Path) -> str:
    (folder / "train-images-idx2-double.gz").write_bytes(gzip.compress(idx_bytes(X, 0x0E, ">f8")))
    (folder / "train-labels-idx1-double.gz").write_bytes(gzip.compress(idx_bytes(Y, 0x08, "u1")))
    return str(folder / "train-images-idx2-double.gz")


def idx_bytes(array: np.ndarray, kind: int, dtype: str) -> bytes:
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape)
    return head + array.astype(dtype).tobytes()


WRITERS = [
    npz,
    npz_compressed,
    npz_by_columns,
    npy,
    csv,
    zarr_group,
    hdf5,
    parquet,
    parquet_folder,
    idx,
    idx_gzipped,
]


@pytest.mark.parametrize("write", WRITERS)
class TestReaderConformance:
    @pytest.fixture
    def source(self, write: Callable[[Path], str], tmp_path: Path) -> Source:
        return open_source(write(tmp_path))

    def test_it_knows_its_shape_without_reading(self, source: Source) -> None:
        assert (source.n, source.features, source.has_targets) == (23, 4, True)

    @pytest.mark.parametrize("block", [1, 6, 23, 100])
    def test_blocks_of_any_size_join_to_the_same_rows(self, source: Source, block: int) -> None:
        starts = range(0, 23, block)
        rows = np.concatenate([source.rows(s, min(23, s + block)) for s in starts])
        targets = np.concatenate([source.targets(s, min(23, s + block)) for s in starts])
        np.testing.assert_array_equal(rows, X)
        np.testing.assert_array_equal(targets, Y)
        assert rows.dtype == np.float64
        assert source.rows(3, 9).flags.c_contiguous


@pytest.mark.parametrize("write", [w for w in WRITERS if w is not csv])  # a shorter table is still a table
def test_a_file_cut_short_is_refused_in_one_sentence(write: Callable[[Path], str], tmp_path: Path) -> None:
    path = Path(write(tmp_path))
    files = [p for p in ([path] if path.is_file() else path.rglob("*")) if p.is_file() and p.stat().st_size > 60]
    for file in files:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    def read_all() -> None:
        source = open_source(str(path))
        source.rows(0, 23)
        source.targets(0, 23)

    with pytest.raises(InputError):
        read_all()


def test_images_are_flattened_and_integers_become_float64(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.arange(24, dtype=np.uint8).reshape(2, 3, 4), y=[0, 1])
    source = open_source(str(tmp_path / "d.npz"))
    assert source.rows(0, 2).dtype == np.float64
    assert source.rows(0, 2).shape == (2, 12)


def test_the_bundled_digits_open() -> None:
    source = open_source("sklearn:digits")
    assert (source.n, source.features) == (1797, 64)


@pytest.mark.parametrize(
    ("name", "words"),
    [("sklearn:digit", "did you mean sklearn:digits"), ("sklearn:zzz", "there are"), ("none.npz", "does not exist")],
)
def test_a_dataset_that_is_not_there_is_named(name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        open_source(name)


def test_bad_files_are_refused(tmp_path: Path) -> None:
    def refused(name: str, words: str, **arrays: np.ndarray) -> None:
        np.savez(tmp_path / name, **arrays)
        with pytest.raises(InputError, match=words):
            open_source(str(tmp_path / name))

    refused("a.npz", "did you mean 'X'|it holds", X=X, y=Y)
    refused("b.npz", "one target row per row", x=X, y=Y[:5])
    refused("c.npz", "dtype", x=X.astype(complex))
    refused("d.npz", "empty", x=X[:0])
    refused("e.npz", "cannot be read", x=np.array([{}], dtype=object))
    refused("f.npz", "single value", x=np.array(3.0))
    (tmp_path / "g.xyz").write_text("1")
    with pytest.raises(InputError, match="no ending"):
        open_source(str(tmp_path / "g.xyz"))
    for name, text in (("h.csv", "a,b\n1,x\n"), ("i.csv", ""), ("j.csv", "1\n2\n")):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError):
            open_source(str(tmp_path / name))


def test_links_out_of_an_hdf5_file_are_not_followed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = X
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["x"] = h5py.ExternalLink("other.h5", "x")
        file["e"] = h5py.ExternalLink("other.h5", "/")
    for key in ("x", "e/x"):
        with pytest.raises(InputError, match="not followed"):
            open_source(str(tmp_path / "d.h5"), x=key)
    with pytest.raises(InputError, match="no dataset"):
        open_source(str(tmp_path / "other.h5"), x="z/z")
