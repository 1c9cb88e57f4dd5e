"""When a matrix may be made dense: it fits in the memory that is free, and 32-bit LAPACK can index it."""

from __future__ import annotations

import psutil

LARGEST_DENSE = 32_766  # above it 32-bit LAPACK interfaces are a trap
_SHARE = 0.6


def fits_dense(n: int, itemsize: int = 8) -> bool:
    """Whether an (n, n) array of ``itemsize`` bytes an entry may be allocated and factorized here and now."""
    return n <= LARGEST_DENSE and itemsize * n * n <= _SHARE * psutil.virtual_memory().available
