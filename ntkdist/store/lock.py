"""One writer at a time: an advisory file lock that a killed process gives back by itself.

The lock is ``flock`` on ``RUN.zarr/.lock``, so the kernel releases it when its holder dies, however it dies. The
file also names the holder (pid, host), for the sentence a second writer gets, and because ``flock`` is not
trustworthy across hosts on every network file system: a lock left by another host is only taken with
``unlock=True``.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ntkdist.errors import StoreLocked
from ntkdist.store.durable import disk_errors


@contextmanager
def writer_lock(root: Path, *, unlock: bool = False) -> Iterator[None]:
    """Hold the writer's lock of the run store at ``root``.

    Raises
    ------
    StoreLocked
        Another live process holds it, or another host left it behind and ``unlock`` was not given.
    """
    with disk_errors(root):
        file = os.open(root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(file)
            raise StoreLocked(
                f"The store {root} is being written by process {holder.get('pid', '?')} on host "
                f"{holder.get('host', '?')}; wait for it or stop it."
            ) from None
        holder = _holder(file)
        if holder and holder.get("host") != socket.gethostname() and not unlock:
            raise StoreLocked(
                f"The store {root} was left locked by process {holder.get('pid', '?')} on host "
                f"{holder.get('host', '?')}; if that run is dead, start again with --unlock."
            )
        with disk_errors(root):
            _write(file, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        try:
            yield
        finally:
            _write(file, "")
    finally:
        os.close(file)


def _holder(file: int) -> dict[str, object]:
    text = os.pread(file, 4096, 0)
    try:
        tree = json.loads(text) if text else {}
    except ValueError:
        return {"pid": "?", "host": "?"}
    return tree if isinstance(tree, dict) else {}


def _write(file: int, text: str) -> None:
    os.ftruncate(file, 0)
    os.pwrite(file, text.encode(), 0)
    os.fsync(file)
