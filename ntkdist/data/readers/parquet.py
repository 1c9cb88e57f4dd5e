"""Parquet files and folders: numeric columns are features, the column ``y`` (else the last) is the target.

Batches are decoded as they are needed, in order; going back decodes the file again from its beginning. One file is
open at a time.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.data.source import Source
from ntkdist.errors import InputError

_BATCH_ROWS = 4096


def open_parquet(path: Path, x: str, y: str) -> Source:
    """Open one Parquet file, or all of a folder in the order of their names."""
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise InputError(f'{path} needs pyarrow, which is not installed: pip install "ntkdist[parquet]".') from None
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    return ParquetSource(str(path), parquet, files, y)


class ParquetSource:
    """Rows of one or several Parquet files."""

    def __init__(self, name: str, parquet: Any, files: list[Path], y: str) -> None:
        self.name = name
        self._parquet = parquet
        self._files = files
        columns: list[str] | None = None
        sizes = []
        for file in files:
            with parquet.ParquetFile(file) as opened:
                names = list(opened.schema_arrow.names)
                sizes.append(opened.metadata.num_rows)
            columns = columns or names
            if len(names) < 2 or names != columns:
                raise InputError(f"{name} needs the same two or more columns in every file (features and a target).")
        assert columns is not None
        self._target = y if y in columns else columns[-1]
        self._columns = [c for c in columns if c != self._target]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(int).tolist()
        self.n = int(self._starts[-1])
        self.features = len(self._columns)
        self.shape: tuple[int, ...] = (self.features,)
        self.has_targets = True
        self._lock = threading.Lock()
        self._cursors: dict[bool, _Cursor] = {}
        if self.n == 0:
            raise InputError(f"{name} holds no rows.")

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Rows start…stop−1, (stop − start, features) float64."""
        parts = [
            np.stack([self._numbers(t, c) for c in self._columns], axis=1) for t in self._batches(start, stop, False)
        ]
        return np.ascontiguousarray(np.concatenate(parts), dtype=np.float64)

    def targets(self, start: int, stop: int) -> NDArray[Any] | None:
        """Targets start…stop−1."""
        parts = [np.asarray(t.column(0).to_numpy(zero_copy_only=False)) for t in self._batches(start, stop, True)]
        return np.concatenate(parts)

    def _numbers(self, batch: Any, column: str) -> NDArray[Any]:
        values = np.asarray(batch.column(column).to_numpy(zero_copy_only=False))
        if values.dtype.kind not in "fiub":
            raise InputError(f"{self.name}: column {column!r} holds {values.dtype}, but must hold real numbers.")
        return values.astype(np.float64)

    def _batches(self, start: int, stop: int, target: bool) -> list[Any]:
        stop, found = min(stop, self.n), []
        with self._lock:
            for f, file in enumerate(self._files):
                low, high = self._starts[f], self._starts[f + 1]
                if low < stop and start < high:
                    found += self._read(file, max(0, start - low), min(stop, high) - low, target)
        return found

    def _read(self, file: Path, start: int, stop: int, target: bool) -> list[Any]:
        cursor = self._cursors.get(target)
        if cursor is None or cursor.file != file or start < cursor.at:
            if cursor is not None:
                cursor.close()
            columns = [self._target] if target else self._columns
            cursor = self._cursors[target] = _Cursor(self._parquet, file, columns)
        return cursor.read(start, stop)


class _Cursor:
    """Batches of one file in order; ``at`` is the first row of the batch at hand."""

    def __init__(self, parquet: Any, file: Path, columns: list[str]) -> None:
        self.file = file
        self.at = 0
        self._opened = parquet.ParquetFile(file)
        self._batches: Iterator[Any] = self._opened.iter_batches(batch_size=_BATCH_ROWS, columns=columns)
        self._batch: Any = next(self._batches, None)

    def read(self, start: int, stop: int) -> list[Any]:
        """Slices of batches that hold rows start…stop−1."""
        found = []
        while self._batch is not None:
            low, high = self.at, self.at + self._batch.num_rows
            if low < stop and start < high:
                found.append(self._batch.slice(max(0, start - low), min(stop, high) - max(start, low)))
            if high >= stop:
                return found
            self.at, self._batch = high, next(self._batches, None)
        raise InputError(f"{self.file} ends before row {stop}; it is damaged.")

    def close(self) -> None:
        """Close the file."""
        self._opened.close()
