"""Training and held-out rows: deterministic, stratified by class where there are classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import InputError


@dataclass(frozen=True)
class Split:
    """Sorted row numbers of both parts."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]


def split_rows(n: int, test_fraction: float, seed: int, labels: NDArray[Any] | None = None) -> Split:
    """Hold out round(test_fraction · n) rows; each class gives its share, and keeps one row for training."""
    count = round(test_fraction * n)
    if test_fraction > 0 and not 0 < count < n:
        raise InputError(f"{n} rows cannot be split with test_fraction {test_fraction:g}; add rows or set it to 0.")
    rng = np.random.Generator(np.random.PCG64(seed))
    held = np.zeros(n, dtype=bool)
    if labels is None:
        held[rng.permutation(n)[:count]] = True
    else:
        _hold_out_by_class(held, labels, test_fraction, count, rng)
    return Split(np.flatnonzero(~held), np.flatnonzero(held))


def _hold_out_by_class(
    held: NDArray[np.bool_], labels: NDArray[Any], fraction: float, count: int, rng: np.random.Generator
) -> None:
    members = [rng.permutation(np.flatnonzero(labels == c)) for c in np.unique(labels)]
    shares = np.array([fraction * len(m) for m in members])
    room = np.array([len(m) - 1 for m in members])
    take = np.minimum(np.floor(shares).astype(int), room)
    # The largest remainders get what rounding down left over.
    for c in np.argsort(-(shares - np.floor(shares)), kind="stable"):
        if take.sum() < count and take[c] < room[c]:
            take[c] += 1
    # A class that could not give its share leaves it to the largest others.
    while take.sum() < count and np.any(take < room):
        take[int(np.argmax(room - take))] += 1
    for rows, k in zip(members, take, strict=True):
        held[rows[:k]] = True
