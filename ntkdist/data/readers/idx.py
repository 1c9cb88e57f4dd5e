"""IDX files, the format of MNIST: ``train-images-idx3-ubyte``, also gzipped; labels in the file beside it.

A magic number (two zero bytes, a type, the number of dimensions), the dimensions, then big-endian values.
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from ntkdist.data.readers.file_rows import FileRows
from ntkdist.data.source import ArraySource, Source
from ntkdist.errors import InputError

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def open_idx(path: Path, x: str, y: str) -> Source:
    """Rows in ``path``; labels in the file beside it that is named alike (images → labels, idx3 → idx1) or ``y``."""
    rows = _open(path)
    beside = labels_beside(path, y)
    return ArraySource(str(path), rows, _open(beside) if beside is not None else None)


def is_idx(path: Path) -> bool:
    """Whether a file is named like one of MNIST's."""
    name = path.name.lower().removesuffix(".gz")
    return name.endswith(("-ubyte", ".idx")) or ".idx" in name or "-idx" in name


def labels_beside(path: Path, y: str) -> Path | None:
    """Where the labels of the images in ``path`` stand, if they do."""
    alike = path.name.replace("images", "labels").replace("idx3", "idx1").replace("idx2", "idx1")
    other = alike.removesuffix(".gz") if alike.endswith(".gz") else f"{alike}.gz"
    for candidate in (path.parent / y, path.parent / alike, path.parent / other):
        if candidate != path and candidate.is_file():
            return candidate
    return None


def _open(path: Path) -> FileRows:
    def inflated() -> IO[bytes]:
        return cast(IO[bytes], gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb"))

    with inflated() as file:
        magic = file.read(4)
        if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or magic[3] == 0:
            raise InputError(f"{path} is not an IDX file: it does not begin with 0, 0, a type and a dimension.")
        shape = struct.unpack(f">{magic[3]}I", file.read(4 * magic[3]))
    dtype: np.dtype[Any] = np.dtype(_TYPES[magic[2]])
    offset = 4 + 4 * magic[3]
    if path.suffix != ".gz":
        held, promised = path.stat().st_size - offset, int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if held != promised:
            raise InputError(f"{path} promises {promised} bytes of data, but holds {held}; it is damaged.")
    return FileRows(inflated, offset, dtype, shape)
