"""Products with the kernel between new rows and the training rows, streamed: Θ(x*, X) W, never held whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.kernels.blas import one_blas_thread
from ntkdist.pipeline.session import Session

Array = NDArray[Any]
TEST_ROWS = 2048
Tell = Callable[[int], None]


def cross_product(session: Session, x: Array, w: Array, *, which: str | None = None, tell: Tell | None = None) -> Array:
    """K(x, X) W for prepared rows x (m, features) and W (n, s): (m, s) float64.

    ``which``: the run's kernel unless given; ``tell`` hears the rows × bands done.
    """
    out = np.zeros((len(x), w.shape[1]))
    with one_blas_thread():
        for band, train in _bands(session):
            where = session.tiling.rows(band)
            for start in range(0, len(x), TEST_ROWS):
                rows = slice(start, start + TEST_ROWS)
                out[rows] += _cross(session, x[rows], train, which).astype(np.float64) @ w[where]
                if tell is not None:
                    tell(band * len(x) + min(len(x), start + TEST_ROWS))
    return out


def cross_block(session: Session, x: Array, *, which: str | None = None) -> Array:
    """K(x, X) for a block of prepared rows, (m, n) float64; the caller keeps m small."""
    with one_blas_thread():
        parts = [_cross(session, x, train, which).astype(np.float64) for _, train in _bands(session)]
    return np.concatenate(parts, axis=1)


def self_values(session: Session, x: Array, *, which: str | None = None) -> Array:
    """K(x, x) row by row, (m,) float64."""
    rows = np.ascontiguousarray(x, dtype=np.float64)
    return np.asarray(session.kernel.diagonal(rows, which=which or session.identity.which), np.float64)


def _bands(session: Session) -> Iterator[tuple[int, Array]]:
    for band in range(session.tiling.bands):
        yield band, session.store.read_array("inputs/x_train", session.tiling.rows(band))


def _cross(session: Session, x: Array, train: Array, which: str | None) -> Array:
    dtype = np.dtype(session.identity.compute)
    rows = np.ascontiguousarray(x, dtype=dtype)
    return np.asarray(session.kernel.cross(rows, train, which=which or session.identity.which))
