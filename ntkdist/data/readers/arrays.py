"""NumPy files: .npy (memory-mapped; targets in a file beside it) and .npz (rows and targets by key)."""

from __future__ import annotations

import difflib
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from ntkdist.data.source import ArraySource, Source
from ntkdist.errors import InputError


def open_npy(path: Path, x: str, y: str) -> Source:
    """Rows in ``path``; targets in the file ``y`` beside it (``y.npy`` by default), if there is one."""
    rows = np.load(path, mmap_mode="r", allow_pickle=False)
    beside = path.parent / (y if y.endswith(".npy") else f"{y}.npy")
    targets = np.load(beside, mmap_mode="r", allow_pickle=False) if beside.is_file() else None
    return ArraySource(str(path), rows, targets)


def open_npz(path: Path, x: str, y: str) -> Source:
    """Rows ``x`` and targets ``y`` of an .npz archive, whose inflated size must fit in memory."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except zipfile.BadZipFile:
        raise InputError(f"{path} is not a valid .npz archive (damaged or cut short).") from None
    free = psutil.virtual_memory().available
    if size > 0.8 * free:
        raise InputError(
            f"{path} inflates to {size / 1e9:.3g} GB, but {free / 1e9:.3g} GB of memory are available; "
            "save its arrays as .npy or Zarr, which are read by blocks."
        )
    with np.load(path, allow_pickle=False) as archive:
        rows = _member(archive, path, x)
        targets = _member(archive, path, y) if y in archive.files else None
    return ArraySource(str(path), rows, targets)


def _member(archive: Any, path: Path, key: str) -> Any:
    if key not in archive.files:
        near = difflib.get_close_matches(key, archive.files, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it holds {', '.join(map(repr, archive.files)) or 'nothing'}."
        raise InputError(f"{path} has no array {key!r}; {hint}")
    try:
        return archive[key]
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: the array {key!r} cannot be read ({error}).") from error
