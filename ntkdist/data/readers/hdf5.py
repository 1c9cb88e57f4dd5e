"""HDF5 files: datasets ``x`` and ``y``, read by blocks; links to other files are not followed."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from ntkdist.data.source import ArraySource, Source
from ntkdist.errors import InputError


def open_hdf5(path: Path, x: str, y: str) -> Source:
    """Open the datasets ``x`` and ``y`` of an HDF5 file."""
    try:
        h5py = importlib.import_module("h5py")
    except ImportError:
        raise InputError(f'{path} needs h5py, which is not installed: pip install "ntkdist[hdf5]".') from None
    file = h5py.File(path, "r")
    rows, targets = _dataset(h5py, file, x), _dataset(h5py, file, y)
    if rows is None:
        names = ", ".join(sorted(file)) or "nothing"
        file.close()
        raise InputError(f"{path} has no dataset {x!r}; it holds {names}.")
    return ArraySource(str(path), rows, targets)


def _dataset(h5py: Any, file: Any, key: str) -> Any | None:
    node, parts = file, [part for part in key.split("/") if part]
    for part in parts:
        if not isinstance(node, h5py.Group):
            return None
        link = node.get(part, getlink=True)
        if isinstance(link, h5py.ExternalLink | h5py.SoftLink):
            raise InputError(f"{file.filename}: {key!r} goes through a link, which is not followed; name the dataset.")
        node = node.get(part)
    if not isinstance(node, h5py.Dataset):
        return None
    if node.external or node.is_virtual:
        raise InputError(f"{file.filename}: {key!r} keeps its data in other files, which are not followed.")
    return node
