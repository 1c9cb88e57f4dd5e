"""Rows that are equal bit for bit (−0 counts as 0): they make a Gram matrix singular, so they are named.

Each row is reduced to a 128-bit hash, 16 bytes of memory a row; rows whose hashes agree are then compared byte by
byte, so that no chance and nobody's contrivance makes two different rows equal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def duplicate_groups(
    blocks: Iterable[NDArray[Any]], row: Callable[[int], NDArray[Any]] | None = None
) -> list[NDArray[np.intp]]:
    """Row numbers of each group of two or more equal rows, in the order of their first member.

    ``row(k)`` gives row k again for the comparison; without it the blocks are kept in memory for that.
    """
    hashes: list[bytes] = []
    kept: list[NDArray[Any]] = []
    for block in blocks:
        hashes += [_hash(_canonical(r)) for r in block]
        if row is None:
            kept += list(block)
    read = kept.__getitem__ if row is None else row
    if not hashes:
        return []
    halves = np.frombuffer(b"".join(hashes), dtype=np.uint64).reshape(-1, 2)
    order = np.lexsort((halves[:, 1], halves[:, 0]))
    new = np.any(np.diff(halves[order], axis=0) != 0, axis=1)
    alike = np.split(order, np.flatnonzero(new) + 1)
    found = [group for members in alike if len(members) > 1 for group in _equal(np.sort(members), read)]
    return sorted(found, key=lambda group: int(group[0]))


def differing_targets(groups: list[NDArray[np.intp]], y: NDArray[Any]) -> int:
    """How many groups of equal rows have targets y (n, k) that differ within the group."""
    return sum(bool(np.any(y[group] != y[group[0]])) for group in groups)


def _equal(members: NDArray[np.intp], read: Callable[[int], NDArray[Any]]) -> list[NDArray[np.intp]]:
    by_bytes: dict[bytes, list[int]] = {}
    for k in members.tolist():
        by_bytes.setdefault(_canonical(read(k)), []).append(k)
    return [np.array(group, dtype=np.intp) for group in by_bytes.values() if len(group) > 1]


def _canonical(row: NDArray[Any]) -> bytes:
    return np.ascontiguousarray(np.asarray(row) + 0.0).tobytes()  # turns −0 into 0


def _hash(row: bytes) -> bytes:
    return hashlib.blake2b(row, digest_size=16).digest()
