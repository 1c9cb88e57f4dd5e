"""What a disk says no with, in words: full, denied, broken; and the room that is asked for beforehand."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ntkdist.errors import InputError, NtkdistError, OutOfSpace

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_BROKEN = {errno.EIO, errno.ENXIO, errno.ESTALE, errno.ETIMEDOUT}
_HANDLES = {errno.EMFILE, errno.ENFILE}


def sweep_partial(root: Path) -> int:
    """Remove files a killed writer left half-written (call it under the lock); return how many."""
    swept = 0
    with disk_errors(root):
        for orphan in root.rglob("*.partial"):
            orphan.unlink(missing_ok=True)
            swept += 1
    return swept


@contextmanager
def disk_errors(where: Path | str) -> Iterator[None]:
    """Translate what a disk refuses below ``where`` into one sentence with its exit code."""
    try:
        yield
    except NtkdistError:
        raise
    except OSError as error:
        words = os.strerror(error.errno or 0)
        again = "finished work is kept"
        if error.errno in _FULL:
            raise OutOfSpace(
                f"The disk ran full while writing {where} ({words}); {again}: free some room and start the same "
                "command again."
            ) from error
        if error.errno in _DENIED:
            raise InputError(
                f"{where} cannot be written ({words}); choose a folder you may write to with --set store=…"
            ) from error
        if error.errno in _BROKEN:
            raise OutOfSpace(
                f"The disk that holds {where} failed ({words}); {again}: look after the disk and start the same "
                "command again."
            ) from error
        if error.errno in _HANDLES:
            raise OutOfSpace(
                f"Too many files are open to write {where} ({words}); {again}: raise the limit (ulimit -n) and start "
                "the same command again."
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
