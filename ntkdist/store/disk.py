"""The five things a store does to a disk, each announced by name before it happens.

Whatever reaches the disk goes through here: write a new file beside its place, flush it, rename it into place, flush
the folder that holds the name, remove. A file is thus either the old one or the new one, complete and on the disk,
whenever the machine stops. The announcements (:mod:`ntkdist.moments`) are where tests make the k-th step fail, the
process die before it, or the power go.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from ntkdist.moments import _checkpoint


def write_file(path: Path, data: bytes | memoryview, *, exclusive: bool = False) -> None:
    """Put ``data`` at ``path`` durably and atomically; with ``exclusive``, FileExistsError if something is there."""
    make_folder(path.parent)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        _checkpoint("disk.create", partial, data)
        with partial.open("xb", buffering=0) as file:
            view = memoryview(data).cast("B")
            while len(view):
                view = view[file.write(view) :]
            _checkpoint("disk.sync", partial)
            os.fsync(file.fileno())
        _checkpoint("disk.rename", partial, path)
        if exclusive:
            os.link(partial, path)
            partial.unlink()
        else:
            partial.replace(path)
    except Exception:
        # A process that is killed instead leaves the partial file to sweep_partial.
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Create a folder and its parents; every new name is flushed with the folder that holds it."""
    if path.is_dir():
        return
    make_folder(path.parent)
    _checkpoint("disk.mkdir", path)
    path.mkdir(exist_ok=True)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Flush a folder's names."""
    _checkpoint("disk.sync_folder", path)
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_file(path: Path) -> None:
    """Remove a file, if it is there, durably."""
    if path.exists():
        _unlink(path)
        sync_folder(path.parent)


def remove_folder(path: Path) -> None:
    """Remove a folder with all that is in it; what describes it (``zarr.json``) goes first and durably."""
    if not path.is_dir():
        return
    remove_file(path / "zarr.json")
    for folder, _, names in os.walk(path, topdown=False):
        for name in names:
            _unlink(Path(folder) / name)
        _checkpoint("disk.rmdir", Path(folder))
        Path(folder).rmdir()
    sync_folder(path.parent)


def _unlink(path: Path) -> None:
    _checkpoint("disk.unlink", path)
    path.unlink(missing_ok=True)
