"""Zarr groups: arrays ``x`` and ``y``, read by blocks."""

from __future__ import annotations

from pathlib import Path

import zarr

from ntkdist.data.source import ArraySource, Source
from ntkdist.errors import InputError


def open_zarr(path: Path, x: str, y: str) -> Source:
    """Open the arrays ``x`` and ``y`` of a Zarr group."""
    group = zarr.open_group(path, mode="r")
    rows, targets = group.get(x), group.get(y)
    if not isinstance(rows, zarr.Array):
        names = ", ".join(sorted(name for name, _ in group.arrays())) or "no arrays"
        raise InputError(f"{path} has no array {x!r}; it holds {names}.")
    return ArraySource(str(path), rows, targets if isinstance(targets, zarr.Array) else None)
