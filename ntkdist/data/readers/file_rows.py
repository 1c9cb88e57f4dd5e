"""Rows of fixed size in a file that can be sought in, compressed or not: read by blocks, never whole.

A .gz file and a compressed member of a .npz archive are sought in by inflating: forwards from where the last block
ended, or again from the beginning. Reading block after block is one pass over the file.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray


class FileRows:
    """An array (n, …) in row-major order that begins ``offset`` bytes into the file ``open()`` gives.

    ``record`` bytes are one row's; the first ``skip`` of them (a label, say) are left out.
    """

    def __init__(
        self,
        open: Callable[[], IO[bytes]],
        offset: int,
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        *,
        record: int | None = None,
        skip: int = 0,
    ) -> None:
        self._open = open
        self._offset = offset
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._skip = skip
        self.dtype = dtype
        self.shape = shape
        self._row = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
        self._record = self._row + skip if record is None else record

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        """Rows start…stop−1."""
        start, stop, _ = rows.indices(self.shape[0])
        with self._lock:
            if self._file is None:
                self._file = self._open()
            self._file.seek(self._offset + start * self._record)
            data = self._file.read((stop - start) * self._record)
        if len(data) != (stop - start) * self._record:
            raise ValueError(f"it ends {(stop - start) * self._record - len(data)} bytes before row {stop}")
        table = np.frombuffer(data, dtype=np.uint8).reshape(stop - start, self._record)
        part = np.ascontiguousarray(table[:, self._skip : self._skip + self._row])
        return part.view(self.dtype).reshape(stop - start, *self.shape[1:])
