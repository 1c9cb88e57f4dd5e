"""NumPy archives (.npz): members are inflated block by block as they are read.

What the archive claims is checked before anything is inflated: members that overlap in the file, or sizes that
disagree with an array's own header, are what zip bombs are made of.
"""

from __future__ import annotations

import difflib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from ntkdist.data.readers.file_rows import FileRows
from ntkdist.data.source import ArraySource, Source
from ntkdist.errors import InputError

_SUSPECT_RATIO = 200


def open_npz(path: Path, x: str, y: str) -> Source:
    """Rows ``x`` and targets ``y`` of an .npz archive."""
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        raise InputError(f"{path} is not a valid .npz archive (damaged or cut short).") from None
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    _refuse_bombs(path, archive.infolist())
    rows = _member(archive, path, members, x)
    targets = _member(archive, path, members, y) if y in members else None
    return ArraySource(str(path), rows, targets)


def _refuse_bombs(path: Path, members: list[zipfile.ZipInfo]) -> None:
    inflated = sum(member.file_size for member in members)
    held = path.stat().st_size
    free = psutil.virtual_memory().available
    if sum(member.compress_size for member in members) > held:
        raise InputError(f"{path} holds members that overlap, as a zip bomb does; save its arrays again.")
    if inflated > _SUSPECT_RATIO * held and inflated > 0.5 * free:
        raise InputError(
            f"{path} inflates from {held / 1e6:.3g} MB to {inflated / 1e9:.3g} GB, as a zip bomb does; if the data "
            "is yours, save it as .npy or Zarr."
        )


def _member(archive: zipfile.ZipFile, path: Path, members: dict[str, zipfile.ZipInfo], key: str) -> Any:
    if key not in members:
        near = difflib.get_close_matches(key, members, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it holds {', '.join(map(repr, members)) or 'nothing'}."
        raise InputError(f"{path} has no array {key!r}; {hint}")
    info = members[key]
    try:
        with archive.open(info) as member:
            version = np.lib.format.read_magic(member)
            read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else _header_2
            shape, fortran, dtype = read_header(member)
            offset = member.tell()
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: the array {key!r} cannot be read ({error}).") from error
    if dtype.hasobject:
        raise InputError(f"{path}: the array {key!r} cannot be read: it holds Python objects, which are not unpickled.")
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if info.file_size != offset + size:
        raise InputError(
            f"{path}: the array {key!r} cannot be read: its header promises {size} bytes, the archive "
            f"{info.file_size - offset}."
        )
    if not fortran or len(shape) < 2:
        return FileRows(lambda: archive.open(info), offset, dtype, shape)
    # Column after column: a block of rows lies all over the member.
    if size > 0.5 * psutil.virtual_memory().available:
        raise InputError(
            f"{path}: the array {key!r} is stored by columns (Fortran order) and takes {size / 1e9:.3g} GB; save it "
            "with np.ascontiguousarray, so that it can be read by blocks of rows."
        )
    with archive.open(info) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def _header_2(member: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    return np.lib.format.read_array_header_2_0(member)
