"""Normalisation of rows, fitted on training rows alone and applied block by block.

``standardise`` subtracts each feature's mean and divides by its standard deviation (population, float64, merged over
blocks by the update of Chan, Golub & LeVeque 1979); features that are constant on the training rows become zero.
``unit`` divides each row by its length. ``none`` leaves rows as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.data.source import Source
from ntkdist.errors import InputError

Floats = NDArray[np.float64]


_CHUNK_ROWS = 4096


@dataclass(frozen=True)
class Normaliser:
    """A fitted normalisation; ``constant_features`` are the columns with one value on all training rows."""

    how: str
    mean: Floats | None = None
    scale: Floats | None = None
    constant_features: list[int] = field(default_factory=list)

    @classmethod
    def fit(cls, source: Source, indices: NDArray[Any] | None, how: str) -> Normaliser:
        """Fit on the rows ``indices`` (sorted; None means all) of a source."""
        # A fixed size, so that no bit of the statistics depends on how rows are read elsewhere.
        block_rows = _CHUNK_ROWS
        keep = np.ones(source.n, dtype=bool)
        if indices is not None:
            keep[:] = False
            keep[indices] = True
        count, mean, moment = 0, np.zeros(source.features), np.zeros(source.features)
        low, high = np.full(source.features, np.inf), np.full(source.features, -np.inf)
        for start in range(0, source.n, block_rows):
            stop = min(source.n, start + block_rows)
            block = np.asarray(source.rows(start, stop), dtype=np.float64)[keep[start:stop]]
            if not len(block):
                continue
            low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
            part_mean = block.mean(axis=0)
            gap, total = part_mean - mean, count + len(block)
            moment += ((block - part_mean) ** 2).sum(axis=0) + gap**2 * (count * len(block) / total)
            mean += gap * (len(block) / total)
            count = total
        constant = [int(j) for j in np.flatnonzero(low == high)]
        if how != "standardise":
            return cls(how, constant_features=constant)
        scale = np.sqrt(moment / max(count, 1))
        if not np.isfinite(scale).all():
            raise InputError("x overflows when standardised; scale the data down first.")
        scale[constant] = np.inf
        return cls(how, mean, scale, constant)

    def apply(self, block: NDArray[Any]) -> Floats:
        """Normalise a block (m, features), in float64."""
        rows = np.asarray(block, dtype=np.float64)
        if self.how == "standardise":
            assert self.mean is not None
            assert self.scale is not None
            return np.asarray((rows - self.mean) / self.scale, dtype=np.float64)
        if self.how == "unit":
            # Scaling by the largest entry first keeps the squares from overflowing.
            largest = np.abs(rows).max(axis=1, keepdims=True)
            scaled = np.divide(rows, largest, out=np.zeros_like(rows), where=largest > 0)
            length = np.sqrt((scaled**2).sum(axis=1, keepdims=True))
            return np.asarray(np.divide(scaled, length, out=np.zeros_like(rows), where=length > 0))
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON form (an infinite scale is written as None)."""
        scale = None if self.scale is None else [float(s) if np.isfinite(s) else None for s in self.scale]
        mean = None if self.mean is None else [float(m) for m in self.mean]
        return {
            "how": self.how,
            "mean": mean,
            "scale": scale,
            "constant_features": list(self.constant_features),
        }

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> Normaliser:
        """Rebuild from :meth:`to_dict`."""
        scale = tree["scale"]
        return cls(
            tree["how"],
            None if tree["mean"] is None else np.array(tree["mean"]),
            None if scale is None else np.array([np.inf if s is None else s for s in scale]),
            list(tree["constant_features"]),
        )
