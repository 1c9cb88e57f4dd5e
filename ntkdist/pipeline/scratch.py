"""Room on disk for the tiles of a factor that does not fit in memory: beside the run's store, gone when it is over."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ntkdist.linalg import DiskTiles
from ntkdist.store import disk_errors, refuse_without_room


@contextmanager
def scratch_tiles(n: int, root: Path | None) -> Iterator[DiskTiles]:
    """Tiles for an (n, n) factor, beside the run's store ``root`` or, without a run, in the system's temporary one.

    Raises
    ------
    InputError
        The disk has no room for n²/2 float64.
    """
    if root is None:
        folder = Path(tempfile.mkdtemp(prefix="ntkdist-factor-"))
    else:
        folder = root.with_name(root.name + ".scratch")
        # A killed run leaves its factor behind; under the store's lock it is nobody's.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    try:
        refuse_without_room(folder, 4 * n * n)
        with disk_errors(folder):
            yield DiskTiles(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
