"""A disk that loses what was not flushed (after SQLite's test6.c): the steps of a run are recorded, then replayed up
to a power cut, after which un-flushed names are kept or lost one by one, and un-flushed bytes kept, cut or garbled.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass
class Inode:
    """A file's bytes, or a folder."""

    data: bytes | None
    flushed: bool = False


@dataclass
class Recorder:
    """Collects the steps of a run, each with its arguments."""

    steps: list[tuple[str, tuple[object, ...]]] = field(default_factory=list)

    def __call__(self, moment: str, *detail: object) -> None:
        if moment == "disk.create":
            path, data = detail
            self.steps.append((moment, (path, bytes(data))))  # type: ignore[call-overload]
        elif moment.startswith("disk.") and moment != "disk.read":
            self.steps.append((moment, detail))


def replay(steps: list[tuple[str, tuple[object, ...]]], base: Path, target: Path, seed: int) -> None:
    """Make at ``target`` what may stand at ``base`` after these steps and a power cut."""
    rng = np.random.default_rng(seed)
    now: dict[Path, Inode] = {}
    safe: dict[Path, Inode] = {}
    waiting: dict[Path, list[tuple[str, Path, Path, Inode]]] = {}

    def change(what: str, path: Path, to: Path, inode: Inode) -> None:
        _apply(now, what, path, to, inode)
        waiting.setdefault(path.parent, []).append((what, path, to, inode))

    for moment, detail in steps:
        path = detail[0]
        assert isinstance(path, Path)
        if moment == "disk.mkdir":
            change("add", path, path, Inode(None, True))
        elif moment == "disk.create":
            assert isinstance(detail[1], bytes)
            change("add", path, path, Inode(detail[1]))
        elif moment == "disk.sync":
            now[path].flushed = True
        elif moment == "disk.rename":
            assert isinstance(detail[1], Path)
            change("move", path, detail[1], now[path])
        elif moment in ("disk.unlink", "disk.rmdir") and path in now:
            change("drop", path, path, now[path])
        elif moment == "disk.sync_folder":
            for entry in waiting.pop(path, []):
                _apply(safe, *entry)
    for entries in waiting.values():
        for entry in entries:
            if rng.random() < 0.5:
                _apply(safe, *entry)
    for path in sorted(safe):
        inode, place = safe[path], target / path.relative_to(base)
        if not place.parent.is_dir():
            continue
        if inode.data is None:
            place.mkdir(exist_ok=True)
        else:
            place.write_bytes(inode.data if inode.flushed else _lossy(inode.data, rng))


def _apply(names: dict[Path, Inode], what: str, path: Path, to: Path, inode: Inode) -> None:
    if what == "drop":
        names.pop(path, None)
    else:
        names.pop(path, None)
        names[to] = inode


def _lossy(data: bytes, rng: np.random.Generator) -> bytes:
    choice = rng.integers(4)
    cut = int(rng.integers(len(data) + 1))
    if choice == 0:
        return data
    if choice == 1:
        return b""
    return data[:cut] if choice == 2 else data[:cut] + rng.bytes(len(data) - cut)
