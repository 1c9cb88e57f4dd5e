"""Normalisation of rows, fitted on training rows alone and applied block by block.

``standardise`` subtracts each feature's mean and divides by its standard deviation (population, float64, merged over
blocks by the update of Chan, Golub & LeVeque 1979); features that are constant on the training rows become zero.
``unit`` divides each row by its length. ``none`` leaves rows as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.data.scan import Piece, piece_rows, scan_piece
from ntkdist.data.source import Source
from ntkdist.errors import InputError

Floats = NDArray[np.float64]
_NONE: Floats = np.empty(0)


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
        keep = np.ones(source.n, dtype=bool)
        if indices is not None:
            keep[:] = False
            keep[indices] = True
        step = piece_rows(source.features)
        starts = range(0, source.n, step)
        return cls.join((scan_piece(source.rows(s, min(source.n, s + step)), keep[s : s + step]) for s in starts), how)

    @classmethod
    def join(cls, pieces: Iterable[Piece], how: str) -> Normaliser:
        """Fit on the moments of consecutive pieces, joined in their order."""
        count, mean, moment, low, high = 0, _NONE, _NONE, _NONE, _NONE
        for piece in pieces:
            if count == 0:
                count, mean, moment, low, high = piece.count, piece.mean, piece.moment, piece.low, piece.high
            elif piece.count:
                gap, total = piece.mean - mean, count + piece.count
                moment = moment + piece.moment + gap**2 * (count * piece.count / total)
                mean = mean + gap * (piece.count / total)
                low, high = np.minimum(low, piece.low), np.maximum(high, piece.high)
                count = total
        constant = [int(j) for j in np.flatnonzero(low == high)]
        if how != "standardise":
            return cls(how, constant_features=constant)
        scale = np.sqrt(moment / max(count, 1))
        if not (np.isfinite(scale).all() and np.isfinite(mean).all()):
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
