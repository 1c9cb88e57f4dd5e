"""Receipts: the proof that a block is finished.

One record of eight float64 per block: whether it is done, the CRC-32C of its bytes, its smallest and largest entry,
the sum of its squares' rounding (for the storage error of a float32 store), the seconds it took, the worker's number,
and a CRC-32C of the record itself. CRCs are 32-bit integers and exact in float64. The record's own checksum also
covers where the block stands, its shape and its store (``salt``), so that a damaged, moved or foreign record is not
believed, nor one of a block that has grown since. A receipt is written after its block is on the disk; a block
without a receipt does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass

import google_crc32c
import numpy as np
from numpy.typing import NDArray

FIELDS = ("done", "checksum", "min", "max", "rounding", "seconds", "worker", "check")


@dataclass(frozen=True)
class Place:
    """Where a receipt belongs: block (i, j) of this shape, in the store with this ``salt`` (below 2⁵³)."""

    i: int
    j: int
    shape: tuple[int, int]
    salt: int = 0


@dataclass(frozen=True)
class Receipt:
    """What is known of a finished block; ``rounding`` is ‖block − stored block‖²_F (0 unless storage rounds)."""

    i: int
    j: int
    checksum: int
    min: float
    max: float
    rounding: float
    seconds: float
    worker: int

    def record(self, place: Place) -> NDArray[np.float64]:
        """Pack into eight float64."""
        body = np.array([1.0, self.checksum, self.min, self.max, self.rounding, self.seconds, self.worker, 0.0])
        body[-1] = _own_checksum(body, place)
        return body

    @classmethod
    def from_record(cls, place: Place, record: NDArray[np.float64]) -> Receipt | None:
        """Unpack; None when the block is not done or the record is damaged."""
        if record[0] != 1.0 or record[-1] != _own_checksum(record, place):
            return None
        _, checksum, low, high, rounding, seconds, worker, _ = (float(v) for v in record)
        return cls(place.i, place.j, int(checksum), low, high, rounding, seconds, int(worker))


def checksum(block: NDArray[np.generic]) -> int:
    """CRC-32C of a block's bytes in row-major order."""
    return int(google_crc32c.value(np.ascontiguousarray(block).tobytes()))


def _own_checksum(record: NDArray[np.float64], place: Place) -> float:
    body = np.array([*record[:-1], place.i, place.j, *place.shape, place.salt])
    return float(google_crc32c.value(body.tobytes()))
