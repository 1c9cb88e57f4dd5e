"""One pass over a dataset in pieces of fixed size: digest, statistics and bounds of each, to be joined in order.

The size of a piece depends on the number of features alone (about 32 MiB in float64, at most 4,096 rows), so that no
bit of a digest or of a mean depends on how many rows are read at a time, or by whom.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def piece_rows(features: int) -> int:
    """Rows of a piece."""
    return max(1, min(4096, (32 << 20) // (8 * features)))


@dataclass(frozen=True)
class Piece:
    """What one piece contributes: a digest of all its rows, and moments of those kept for training."""

    digest: bytes
    count: int
    mean: Floats
    moment: Floats
    low: Floats
    high: Floats


def scan_piece(rows: NDArray[Any], keep: NDArray[np.bool_]) -> Piece:
    """Digest rows (m, features) as float64 and take the moments of ``rows[keep]``."""
    block = np.ascontiguousarray(rows, dtype="<f8")
    digest = hashlib.sha256(block.tobytes()).digest()
    kept = block[keep]
    if not len(kept):
        empty = np.zeros(block.shape[1])
        return Piece(digest, 0, empty, empty, empty + np.inf, empty - np.inf)
    with np.errstate(over="ignore", invalid="ignore"):  # told by the normaliser, with a sentence
        mean = kept.mean(axis=0)
        moment = ((kept - mean) ** 2).sum(axis=0)
    return Piece(digest, len(kept), mean, moment, kept.min(axis=0), kept.max(axis=0))
