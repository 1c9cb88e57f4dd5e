"""CIFAR-10 and CIFAR-100 in their binary version: one file, or the folder of training batches.

A record is one label byte (CIFAR-100: the coarse, then the fine label) and 3,072 bytes of a 32 × 32 image, red, green
and blue planes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.data.readers.file_rows import FileRows
from ntkdist.data.source import ArraySource, Source
from ntkdist.errors import InputError

_IMAGE = 3072


def open_cifar(path: Path, x: str, y: str) -> Source:
    """Images and labels of ``*.bin``; ``y`` may be ``coarse`` or ``fine`` for CIFAR-100 (fine by default)."""
    files = batches(path) if path.is_dir() else [path]
    labels = 2 if _hundred(files) else 1
    record = _IMAGE + labels
    if y == "coarse" and labels == 1:
        raise InputError(f"{path} has one label a record (CIFAR-10), so there are no coarse ones; set data.y=y.")
    column = 0 if labels == 1 or y == "coarse" else 1
    images, targets = [], []
    for file in files:
        n, rest = divmod(file.stat().st_size, record)
        if rest or n == 0:
            raise InputError(f"{file} is no whole number of CIFAR records ({record} bytes each); it is damaged.")
        images.append(FileRows(_opener(file), 0, np.dtype("u1"), (n, _IMAGE), record=record, skip=labels))
        targets.append(FileRows(_opener(file), 0, np.dtype("u1"), (n, 1), record=record, skip=column))
    return ArraySource(str(path), Joined(images, (_IMAGE,)), Joined(targets, ()))


def batches(folder: Path) -> list[Path]:
    """The training batches in a folder: ``data_batch_*.bin``, or ``train.bin``."""
    return sorted(folder.glob("data_batch_*.bin")) or sorted(folder.glob("train.bin"))


class Joined:
    """Several files' rows, one after the other."""

    def __init__(self, parts: list[FileRows], row: tuple[int, ...]) -> None:
        self._parts = parts
        self._starts = np.concatenate([[0], np.cumsum([p.shape[0] for p in parts])])
        self.shape = (int(self._starts[-1]), *row)
        self.dtype = parts[0].dtype

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        """Rows start…stop−1."""
        start, stop, _ = rows.indices(self.shape[0])
        found = [
            part[max(0, start - low) : max(0, stop - low)]
            for part, low in zip(self._parts, self._starts[:-1].tolist(), strict=True)
            if low < stop and start < low + part.shape[0]
        ]
        return np.concatenate(found).reshape(stop - start, *self.shape[1:])


def _opener(file: Path) -> Any:
    return lambda: file.open("rb")


def _hundred(files: list[Path]) -> bool:
    size = files[0].stat().st_size
    if size % (_IMAGE + 1) and not size % (_IMAGE + 2):
        return True
    return files[0].name in ("train.bin", "test.bin") and not size % (_IMAGE + 2)
