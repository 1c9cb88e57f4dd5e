"""Measure, in at most ten seconds, what the actual workers do: tiles, matrix products, K·V, and the store's disk.

All workers measure at the same time, as they will work at the same time, and their rates are added; a disk they
share is then shared in the measurement too.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from distributed import Client, get_worker

from ntkdist.cluster import cores
from ntkdist.kernels import TileKernel
from ntkdist.kernels.blas import one_blas_thread
from ntkdist.linalg import accumulate_lower_tile

_SECONDS_EACH = 1.0
_DISK_BYTES = 128 << 20
# A tile of the measurement is small enough to take about a second at worst.
_MOST_FLOPS = 2e10


@dataclass(frozen=True)
class Rates:
    """Rates of all workers together: ``tile`` entries/s computed, ``gemm`` float64 flop/s, ``product`` stored
    entries/s of K·V, ``write`` and ``read`` bytes/s of the store's disk."""

    tile: float
    gemm: float
    product: float
    write: float
    read: float

    def times(self, factor: float) -> Rates:
        """Rates of ``factor`` times as many workers; the disk stays the same."""
        return Rates(self.tile * factor, self.gemm * factor, self.product * factor, self.write, self.read)


@dataclass(frozen=True)
class Calibration:
    """The work to time: what a worker runs."""

    kernel: TileKernel
    which: str
    features: int
    tile: int
    columns: int
    compute: str
    storage: str
    folder: str

    def __call__(self) -> dict[str, float]:
        """Rates of this process, with all cores it was given."""
        threads = _threads()
        rng = np.random.default_rng(0)
        small = self.tile
        while small > 8 and self.kernel.work(small, small, self.features) > _MOST_FLOPS:
            small //= 2
        rows = rng.standard_normal((2, small, self.features)).astype(self.compute)
        tile = rng.standard_normal((self.tile, self.tile)).astype(self.storage)
        v = rng.standard_normal((self.tile, self.columns))
        square = rng.standard_normal((min(1024, max(64, self.tile)),) * 2)

        def product() -> None:
            accumulate_lower_tile(tile, v, v, np.zeros_like(v), np.zeros_like(v))

        entries = float(self.tile) ** 2
        with one_blas_thread():
            found = {
                "tile": float(small) ** 2
                * _rate(lambda: self.kernel.tile(rows[0], rows[1], which=self.which), threads),
                "gemm": 2.0 * len(square) ** 3 * _rate(lambda: square @ square, threads),
                "product": entries * _rate(product, threads),
            }
        return found | _disk(Path(self.folder), max(1 << 20, min(tile.nbytes, _DISK_BYTES)))


def calibrate(calibration: Calibration, client: Client | None) -> tuple[Rates, int]:
    """Rates of all workers of ``client`` (of this process without one), and how many workers there were."""
    each = [calibration()] if client is None else list(client.run(calibration).values())
    total = {field.name: sum(rates[field.name] for rates in each) for field in fields(Rates)}
    return Rates(**total), len(each)


def _rate(work: Callable[[], Any], threads: int) -> float:
    """Calls a second, on all threads together, after one call to warm up."""
    work()

    def loop(_: int) -> int:
        count, stop = 0, time.perf_counter() + _SECONDS_EACH
        while time.perf_counter() < stop:
            work()
            count += 1
        return count

    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        calls = sum(pool.map(loop, range(threads)))
    return calls / (time.perf_counter() - start)


def _disk(folder: Path, block: int) -> dict[str, float]:
    """Bytes/s written durably and read back from the disk (not from the page cache) under ``folder``."""
    data = np.random.default_rng(1).bytes(block)
    count = max(1, _DISK_BYTES // block)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".ntkdist-plan-") as file:
        start = time.perf_counter()
        for _ in range(count):
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        written = time.perf_counter() - start
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        file.seek(0)
        start = time.perf_counter()
        while file.read(block):
            pass
        read = time.perf_counter() - start
    return {"write": count * block / written, "read": count * block / read}


def _threads() -> int:
    try:
        return int(get_worker().state.nthreads)
    except ValueError:
        return cores()
