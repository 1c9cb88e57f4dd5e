"""Receipts: the proof that a tile is finished.

One record of eight float64 per tile: whether it is done, the CRC-32C of the tile's bytes, its smallest and largest
entry, the sum of its squares' rounding (for the storage error of a float32 store), the seconds it took, the
worker's number, and a CRC-32C of the record itself, so that a damaged record is noticed. CRCs are 32-bit integers
and exact in float64. A receipt is written after its tile is on the disk; a tile without a receipt does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass

import google_crc32c
import numpy as np
from numpy.typing import NDArray

FIELDS = ("done", "checksum", "min", "max", "rounding", "seconds", "worker", "check")


@dataclass(frozen=True)
class Receipt:
    """What is known of a finished tile; ``rounding`` is ‖tile − stored tile‖²_F (0 unless storage rounds)."""

    i: int
    j: int
    checksum: int
    min: float
    max: float
    rounding: float
    seconds: float
    worker: int

    def record(self) -> NDArray[np.float64]:
        """Pack into eight float64."""
        body = np.array([1.0, self.checksum, self.min, self.max, self.rounding, self.seconds, self.worker, 0.0])
        body[-1] = _own_checksum(body, self.i, self.j)
        return body

    @classmethod
    def from_record(cls, i: int, j: int, record: NDArray[np.float64]) -> Receipt | None:
        """Unpack; None when the tile is not done or the record is damaged."""
        if record[0] != 1.0 or record[-1] != _own_checksum(record, i, j):
            return None
        _, checksum, low, high, rounding, seconds, worker, _ = (float(v) for v in record)
        return cls(i, j, int(checksum), low, high, rounding, seconds, int(worker))


def checksum(tile: NDArray[np.floating]) -> int:
    """CRC-32C of a tile's bytes in row-major order."""
    return int(google_crc32c.value(np.ascontiguousarray(tile).tobytes()))


def _own_checksum(record: NDArray[np.float64], i: int, j: int) -> float:
    # The tile's place is part of the record's checksum, so a record copied to another place is not believed.
    return float(google_crc32c.value(np.array([*record[:-1], i, j]).tobytes()))
