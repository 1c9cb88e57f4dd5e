"""Where the tiles of a factor live: a dictionary, or files that are mapped when they are read."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
TileMapping = MutableMapping[tuple[int, int], Array]


class DiskTiles(TileMapping):
    """Tiles as NumPy files in a folder: for a factor that does not fit in memory. The folder is the caller's."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def _path(self, place: tuple[int, int]) -> Path:
        return self.folder / f"{place[0]}-{place[1]}.npy"

    def __getitem__(self, place: tuple[int, int]) -> Array:
        try:
            tile: Array = np.load(self._path(place), allow_pickle=False)
        except FileNotFoundError:
            raise KeyError(place) from None
        return tile

    def __setitem__(self, place: tuple[int, int], tile: Array) -> None:
        # np.save keeps Fortran order, in which BLAS then finds it.
        np.save(self._path(place), tile)

    def __delitem__(self, place: tuple[int, int]) -> None:
        try:
            self._path(place).unlink()
        except FileNotFoundError:
            raise KeyError(place) from None

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for file in self.folder.glob("*-*.npy"):
            i, _, j = file.stem.partition("-")
            yield int(i), int(j)

    def __len__(self) -> int:
        return sum(1 for _ in self)
