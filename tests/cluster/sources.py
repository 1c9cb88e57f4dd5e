"""Tiles of a known matrix, for workers."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ntkdist.tiling import Tiling


def symmetric(n: int, seed: int = 0) -> np.ndarray:
    a = np.random.default_rng(seed).standard_normal((n, n))
    return a + a.T


@dataclass(frozen=True)
class MatrixSource:
    """Tiles of ``symmetric(n)``; reading tile (1, 0) kills the worker while the file ``deadly`` exists."""

    tiling: Tiling
    dtype: str = "float64"
    seed: int = 0
    deadly: str = ""

    @property
    def token(self) -> str:
        return f"matrix-{self.tiling.n}-{self.tiling.tile}-{self.dtype}-{self.seed}-{self.deadly}"

    def open(self, data: Any) -> Callable[[int, int], np.ndarray]:
        matrix = (symmetric(self.tiling.n, self.seed) if data is None else data).astype(self.dtype)

        def tile(i: int, j: int) -> np.ndarray:
            if self.deadly and (i, j) == (1, 0) and os.path.exists(self.deadly):
                os.unlink(self.deadly)
                os.kill(os.getpid(), signal.SIGKILL)
            return matrix[self.tiling.rows(i), self.tiling.rows(j)]

        return tile
