"""CIFAR and MNIST in their own formats, and archives that promise more than they hold."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ntkdist.data import open_source
from ntkdist.errors import InputError

IMAGES = np.random.default_rng(1).integers(0, 256, (7, 3072), dtype=np.uint8)
FINE = np.arange(7, dtype=np.uint8)[:, None]


def test_cifar10_batches_of_a_folder_join_in_order(tmp_path: Path) -> None:
    records = np.hstack([FINE, IMAGES])
    (tmp_path / "data_batch_1.bin").write_bytes(records[:4].tobytes())
    (tmp_path / "data_batch_2.bin").write_bytes(records[4:].tobytes())
    source = open_source(str(tmp_path))
    assert (source.n, source.features) == (7, 3072)
    np.testing.assert_array_equal(source.rows(2, 6), IMAGES[2:6])
    np.testing.assert_array_equal(source.targets(0, 7), FINE[:, 0])
    one = open_source(str(tmp_path / "data_batch_2.bin"))
    np.testing.assert_array_equal(one.rows(0, 3), IMAGES[4:])


def test_cifar100_has_fine_and_coarse_labels(tmp_path: Path) -> None:
    (tmp_path / "train.bin").write_bytes(np.hstack([FINE // 3, FINE, IMAGES]).tobytes())
    np.testing.assert_array_equal(open_source(str(tmp_path)).targets(0, 7), FINE[:, 0])
    coarse = open_source(str(tmp_path / "train.bin"), y="coarse")
    np.testing.assert_array_equal(coarse.targets(1, 7), FINE[1:, 0] // 3)
    np.testing.assert_array_equal(coarse.rows(0, 7), IMAGES)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.bin", b"123", "whole number of CIFAR records"),
        ("a-idx3-ubyte", b"123", "not an IDX file"),
        ("a-idx3-ubyte", b"\0\0\x08\x01\0\0\0\x09abc", "promises 9 bytes"),
        ("a-idx3-ubyte.gz", b"not gzip", "cannot be read"),
        ("a.npz", b"not zip", "not a valid"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        open_source(str(tmp_path / name))


def test_coarse_labels_of_cifar10_do_not_exist(tmp_path: Path) -> None:
    (tmp_path / "b.bin").write_bytes(np.hstack([FINE, IMAGES]).tobytes())
    with pytest.raises(InputError, match="no coarse"):
        open_source(str(tmp_path / "b.bin"), y="coarse")


def header(shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue()


def test_an_array_that_promises_more_than_its_member_holds_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("x.npy", header((10**9, 10)) + bytes(80))
    with pytest.raises(InputError, match="promises 80000000000 bytes"):
        open_source(str(tmp_path / "d.npz"))


def test_a_zip_bomb_is_refused_before_it_is_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "d.npz", x=np.zeros((200_000, 10)), y=np.zeros(200_000))
    source = open_source(str(tmp_path / "d.npz"))
    assert source.n == 200_000

    class Memory:
        available = 10_000_000

    monkeypatch.setattr("ntkdist.data.readers.npz.psutil.virtual_memory", Memory)
    with pytest.raises(InputError, match="zip bomb"):
        open_source(str(tmp_path / "d.npz"))
    np.savez(tmp_path / "f.npz", x=np.asfortranarray(np.random.default_rng(0).random((100_000, 10))))
    with pytest.raises(InputError, match="Fortran order"):
        open_source(str(tmp_path / "f.npz"))


def test_overlapping_members_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.ones((1000, 2)), y=np.ones(1000))
    with zipfile.ZipFile(tmp_path / "d.npz", "a") as archive:
        archive.filelist += archive.filelist * 3
        archive._didModify = True
    with pytest.raises(InputError, match="overlap"):
        open_source(str(tmp_path / "d.npz"))


def test_only_a_block_of_a_compressed_archive_is_in_memory(tmp_path: Path) -> None:
    import tracemalloc

    np.savez_compressed(tmp_path / "d.npz", x=np.random.default_rng(0).integers(0, 4, (20_000, 200)).astype(float))
    tracemalloc.start()
    source = open_source(str(tmp_path / "d.npz"))
    total = sum(float(source.rows(s, s + 500).sum()) for s in range(0, 20_000, 500))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total > 0
    assert peak < 20_000 * 200 * 8 / 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n1,x\n", "row 1: 'x' in column 1 is no number"),
        ("1,2\n1,2,3\n", "row 1: it has 3 columns"),
        ("a,b\n", "at least one row"),
        ("1\n2\n", "two or more columns"),
    ],
)
def test_a_bad_line_of_a_table_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "d.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        open_source(str(tmp_path / "d.csv"))


def test_a_long_table_is_read_from_where_its_blocks_begin(tmp_path: Path) -> None:
    table = np.arange(15_000.0).reshape(5000, 3)
    np.savetxt(tmp_path / "d.csv", table, header="a note\n\n", comments="# ", delimiter=";")
    source = open_source(str(tmp_path / "d.csv"))
    assert source.n == 5000
    np.testing.assert_array_equal(source.rows(2040, 4200), table[2040:4200, :2])
    assert source.targets(0, 2).dtype == np.int64
