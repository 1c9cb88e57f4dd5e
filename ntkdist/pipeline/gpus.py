"""Data-centre GPUs by their data sheets, and what those predict for tiles and products; nothing here is measured.

Peaks (float32 outside tensor cores, float64 with tensor cores, memory bandwidth and size) are the vendor's for the
SXM boards. 85% of a peak is assumed to be reached, as public HPL figures for the H100 suggest. A tile costs its
matrix product, or writing it if that takes longer, and one pass over it in place (read and written once more).
"""

from __future__ import annotations

from dataclasses import dataclass

from ntkdist.errors import InputError

_REACHED = 0.85


@dataclass(frozen=True)
class Gpu:
    """Peaks of one GPU: flop/s in float32 and float64, bytes/s and bytes of its memory."""

    name: str
    float32: float
    float64: float
    bandwidth: float
    memory: float

    def flops(self, dtype: str) -> float:
        """Flop/s of a matrix product, predicted."""
        return _REACHED * (self.float64 if dtype == "float64" else self.float32)

    def tile_entries(self, features: int, dtype: str) -> float:
        """Entries/s of tiles over rows of this many features, predicted."""
        item = 8 if dtype == "float64" else 4
        memory = _REACHED * self.bandwidth
        return 1 / (max(2 * features / self.flops(dtype), item / memory) + 2 * item / memory)

    def product_entries(self, columns: int, storage: str) -> float:
        """Stored entries/s of K·V with resident tiles, predicted: each entry is read for both of its uses, and
        widened to float64 beforehand if it is stored in float32."""
        traffic = 16 if storage == "float64" else 28
        return 1 / max(traffic / (_REACHED * self.bandwidth), 4 * columns / self.flops("float64"))


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("a100", 19.5e12, 19.5e12, 2.04e12, 80e9),
        Gpu("h100", 67e12, 67e12, 3.35e12, 80e9),
        Gpu("h200", 67e12, 67e12, 4.8e12, 141e9),
        Gpu("b200", 80e12, 40e12, 8.0e12, 180e9),
    )
}
# Pinned copies over PCIe 5, bytes/s, for tiles that leave the device.
COPY_OUT = 55e9


def find_gpu(name: str) -> Gpu:
    """The GPU of this name.

    Raises
    ------
    InputError
        It is not in the table.
    """
    if name.lower() not in GPUS:
        raise InputError(f"Unknown GPU {name!r}; the planner knows {', '.join(GPUS)}.")
    return GPUS[name.lower()]
