"""NumPy files (.npy), memory-mapped; targets in a file beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ntkdist.data.source import ArraySource, Source


def open_npy(path: Path, x: str, y: str) -> Source:
    """Rows in ``path``; targets in the file ``y`` beside it (``y.npy`` by default), if there is one."""
    rows = np.load(path, mmap_mode="r", allow_pickle=False)
    beside = targets_beside(path, y)
    targets = np.load(beside, mmap_mode="r", allow_pickle=False) if beside.is_file() else None
    return ArraySource(str(path), rows, targets)


def targets_beside(path: Path, y: str) -> Path:
    """Where the targets of the rows in ``path`` stand."""
    return path.parent / (y if y.endswith(".npy") else f"{y}.npy")
