"""Whether a dataset's files are those that were read before, without reading them: name, size, time of change.

As ``git`` and ``make`` do: a file that changed keeps neither its size nor its time of change, unless somebody takes
pains. Times are compared for equality only, so a clock that is wrong does no harm.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from ntkdist.data.readers.idx import is_idx, labels_beside
from ntkdist.data.readers.npy import targets_beside


def signature(path: str, y: str = "y") -> str:
    """A digest of the names, sizes and times of change of the files of a dataset."""
    text = hashlib.sha256(path.encode())
    for file in _files(Path(path), y):
        stat = file.stat()
        text.update(f"{file.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ino}\n".encode())
    return text.hexdigest()


def _files(path: Path, y: str) -> list[Path]:
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.is_file())
    if not path.is_file():
        return []  # a dataset that comes with a package
    beside = labels_beside(path, y) if is_idx(path) else targets_beside(path, y) if path.suffix == ".npy" else None
    return [path, beside] if beside is not None and beside.is_file() else [path]
