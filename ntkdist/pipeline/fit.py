"""What cannot fit is refused in one sentence before anything is computed: disk, workers' and driver's memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import psutil
from dask.utils import parse_bytes

from ntkdist.cluster import cores
from ntkdist.config import ClusterConfig, RunConfig
from ntkdist.errors import InputError
from ntkdist.linalg import default_rank
from ntkdist.tiling import Tiling

_TILES_AT_ONCE = 8


@dataclass(frozen=True)
class RunSize:
    """Bytes of a run: on disk, of each worker while it computes tiles, of the driver while it solves."""

    entries: int
    stored_bytes: int
    resident_bytes: int
    input_bytes: int
    worker_bytes: int
    driver_bytes: int
    workers: int

    @classmethod
    def of(
        cls, config: RunConfig, tiling: Tiling, rows: int, features: int, threads: int, workers: int, tables: int = 0
    ) -> RunSize:
        """Sizes of a run over ``rows`` rows (training and test); ``tables`` are the kernel's own bytes a tile."""
        gram, n, tile = config.gram, tiling.n, tiling.tile
        compute, storage = np.dtype(gram.compute).itemsize, np.dtype(gram.storage).itemsize
        entries = tiling.stored_entries()
        a_tile = tile * tile * (compute + storage) + 2 * tile * features * compute + tables
        return cls(
            entries=entries,
            stored_bytes=0 if gram.mode == "recomputed" else entries * storage,
            resident_bytes=entries * storage if gram.mode in ("auto", "resident") else 0,
            input_bytes=rows * features * compute,
            worker_bytes=min(threads, _TILES_AT_ONCE) * a_tile,
            driver_bytes=8 * n * (2 * min(n, default_rank(n)) + 64),
            workers=workers,
        )


def memory_of_machine(cluster: ClusterConfig, workers: int | None = None) -> tuple[float, float | None]:
    """A worker's memory limit in bytes, and bytes all workers may hold of tiles (None: this process holds them)."""
    available = float(psutil.virtual_memory().available)
    if cluster.type == "in-process" and workers is None:
        return available, None
    count = workers or cluster.workers
    limit = cluster.memory_limit
    if limit is not None and limit != "auto":
        each = float(parse_bytes(limit))
    elif cluster.type == "local":
        each = psutil.virtual_memory().total / max(count, cluster.workers) if workers is None else available
    else:
        each = available
    return each, 0.6 * each * count


def unfit(config: RunConfig, size: RunSize, free_disk: float, memory: float, held: float | None) -> list[str]:
    """One sentence for each thing that does not fit."""
    found = []
    needed = size.stored_bytes + size.input_bytes
    if needed > 0.95 * free_disk:
        found.append(
            f"The store needs {needed / 1e9:.3g} GB, but the disk has {free_disk / 1e9:.3g} GB free; choose another "
            "disk with --set store=…, or store no tiles with --set gram.mode=recomputed."
        )
    if config.gram.mode == "resident" and held is None and size.stored_bytes > 0.9 * memory:
        found.append(
            f"Resident tiles take {size.stored_bytes / 1e9:.3g} GB, but {memory / 1e9:.3g} GB of memory are "
            "available; use --set gram.mode=streamed."
        )
    if config.gram.mode == "resident" and held is not None and size.stored_bytes > 1.4 * held:
        found.append(
            f"Resident tiles take {size.stored_bytes / 1e9:.3g} GB, but the workers may hold {held / 1e9:.3g} GB; "
            "use --set gram.mode=streamed, or more workers."
        )
    if size.worker_bytes > 0.9 * memory:
        found.append(
            f"A worker needs {size.worker_bytes / 1e9:.3g} GB for the tiles it computes at a time, but has "
            f"{memory / 1e9:.3g} GB; choose a smaller gram.tile or a larger cluster.memory_limit."
        )
    available = psutil.virtual_memory().available
    if size.driver_bytes > 0.9 * available:
        found.append(
            f"The solver needs {size.driver_bytes / 1e9:.3g} GB for its vectors here, but {available / 1e9:.3g} GB "
            "of memory are available."
        )
    return found


def refuse_unfit(config: RunConfig, tiling: Tiling, rows: int, features: int, free_disk: float) -> None:
    """Raise what does not fit, at the start of a run.

    Raises
    ------
    InputError
        The first thing that does not fit.
    """
    cluster = config.cluster
    threads = cluster.threads_per_worker or max(1, cores() // max(1, cluster.workers))
    size = RunSize.of(config, tiling, rows, features, threads, cluster.workers)
    memory, held = memory_of_machine(cluster)
    for sentence in unfit(config, size, free_disk, memory, held):
        raise InputError(sentence)
