"""Making writes survive: fsync what Zarr wrote, sweep what a killed process left half-written, turn ENOSPC into words.

Zarr's LocalStore renames complete files into place, so a reader never sees half a chunk, but it does not fsync:
after a power cut a receipt could outlive its tile. Here the tile's file and folder are synced before the receipt
is written.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ntkdist.errors import InputError, OutOfSpace

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


def sync_file(path: Path) -> None:
    """Flush a file's bytes and then its folder entry to the disk."""
    for target in (path, path.parent):
        handle = os.open(target, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sweep_partial(root: Path) -> int:
    """Remove files a killed writer left half-written (call it under the lock); return how many."""
    swept = 0
    for orphan in root.rglob("*.partial"):
        orphan.unlink(missing_ok=True)
        swept += 1
    return swept


@contextmanager
def disk_errors(where: Path | str) -> Iterator[None]:
    """Translate a full disk or a refused write below ``where`` into one sentence with its exit code."""
    try:
        yield
    except (InputError, OutOfSpace):
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise OutOfSpace(
                f"The disk ran full while writing {where} ({os.strerror(error.errno or 0)}); finished tiles are "
                "kept: free some room and start the same command again."
            ) from error
        if error.errno in _DENIED:
            raise InputError(
                f"{where} cannot be written ({os.strerror(error.errno or 0)}); choose a folder you may write "
                "to with --set store=…"
            ) from error
        raise


def refuse_without_room(path: Path, needed: int) -> None:
    """Raise :class:`InputError` if the disk under ``path`` lacks ``needed`` bytes (5% are kept free)."""
    folder = path
    while not folder.exists():
        folder = folder.parent
    stat = os.statvfs(folder)
    free = stat.f_bavail * stat.f_frsize
    if needed > 0.95 * free:
        raise InputError(
            f"The run needs {needed / 1e9:.3g} GB at {path}, but the disk has {free / 1e9:.3g} GB free; choose "
            "another disk with --set store=…, halve it with --set gram.storage=float32, or store nothing with "
            "--set gram.mode=recomputed."
        )
