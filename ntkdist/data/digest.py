"""A digest of rows that does not depend on how they were cut into blocks."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


class RowDigest:
    """sha256 over rows as little-endian bytes, their dtype and their width."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._form: tuple[str, tuple[int, ...]] | None = None

    def update(self, block: NDArray[Any]) -> None:
        """Add consecutive rows; a change of dtype or width is part of the digest."""
        data = np.ascontiguousarray(block)
        data = data.astype(data.dtype.newbyteorder("<"), copy=False)
        form = (data.dtype.str, data.shape[1:])
        if form != self._form:
            self._hash.update(repr(form).encode())
            self._form = form
        self._hash.update(data.tobytes())

    def hexdigest(self) -> str:
        """The digest so far, as hex."""
        return self._hash.hexdigest()
