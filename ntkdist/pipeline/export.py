"""The Gram matrix as one dense .npy file, written through a memory map, tile by tile.

``np.load(path, mmap_mode="r")`` gives what scikit-learn takes as ``kernel="precomputed"``: the (n, n) matrix of the
training rows, or with ``test`` the (m, n) block of held-out against training rows.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ntkdist.errors import InputError
from ntkdist.pipeline.cross_blocks import cross_blocks
from ntkdist.pipeline.open_run import stored_kernel
from ntkdist.pipeline.progress import Progress, Silent
from ntkdist.store import RunStore, disk_errors, refuse_without_room


def export_gram(
    root: Path, out: Path, *, test: bool = False, force: bool = False, progress: Progress | None = None
) -> dict[str, Any]:
    """Write the dense matrix of a run to ``out``; every tile is checked against its receipt on the way.

    Raises
    ------
    InputError
        Tiles are missing, ``out`` exists or is no .npy, the disk has no room, or there are no held-out rows.
    ChecksFailed
        A tile is damaged; nothing is left at ``out``.
    """
    progress = progress or Silent()
    store = RunStore(root)
    identity = store.identity
    if out.suffix != ".npy":
        raise InputError(f"{out} must end in .npy.")
    if out.exists() and not force:
        raise InputError(f"{out} exists; choose another name, or replace it with --force.")
    tiles = store.tiles
    assert identity is not None
    if not test and tiles.missing():
        raise InputError(f"{len(tiles.missing())} tiles of {root} are not computed yet; start its run again first.")
    m = store.rows("inputs/x_test").grid.n if test and "inputs/x_test" in store.group else 0
    if test and m == 0:
        raise InputError(f"{root} holds no held-out rows, so there is no test × train block to export.")
    shape = (m, identity.n) if test else (identity.n, identity.n)
    dtype = np.dtype(identity.storage)
    size = shape[0] * shape[1] * dtype.itemsize
    refuse_without_room(out.absolute().parent, size)
    partial = out.with_name(f"{out.name}.partial")
    progress.start("export", float(shape[0] * shape[1]), "entries")
    done = 0
    try:
        with disk_errors(out):
            with partial.open("wb") as file:
                # Without this, a disk that fills up kills the process with SIGBUS in the middle of a page.
                os.posix_fallocate(file.fileno(), 0, size + 128)
            dense = np.lib.format.open_memmap(partial, mode="w+", dtype=dtype, shape=shape)
            if test:
                for rows, columns, block in cross_blocks(store, stored_kernel(store)):
                    dense[rows, columns] = block
                    done += block.size
                    progress.update(done)
            else:
                for i, j in tiles.tiling:
                    tile = tiles.read(i, j)
                    dense[tiles.tiling.rows(i), tiles.tiling.rows(j)] = tile
                    dense[tiles.tiling.rows(j), tiles.tiling.rows(i)] = tile.T
                    done += tile.size * (1 if i == j else 2)
                    progress.update(done)
            dense.flush()
            del dense
            partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    progress.finish()
    return {"file": str(out), "shape": list(shape), "dtype": str(dtype), "bytes": out.stat().st_size}
