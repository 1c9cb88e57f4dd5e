"""What a run will take, before it starts: tiles, bytes, flops, memory; nothing is computed or written."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from ntkdist.cluster import cores
from ntkdist.config import ConvKernelConfig, RunConfig
from ntkdist.data import open_source
from ntkdist.kernels import ConvKernel
from ntkdist.linalg import default_rank
from ntkdist.pipeline.kernel import core_hours, kernel_for
from ntkdist.tiling import Tiling, auto_tile


def make_plan(config: RunConfig) -> dict[str, Any]:
    """Predict the size of a run from its configuration and the shape of its data.

    Flops are multiply and add counted separately: the Gram product 2·d per entry plus the kernel's own pass; a pass
    K·V 4 per stored entry and column; Cholesky n³/3. Memory is per worker while computing, and of the driver while
    solving with resident tiles.
    """
    source = open_source(config.data.path, config.data.x, config.data.y)
    kernel = kernel_for(config, source.shape)
    n_test = round(source.n * config.data.test_fraction)
    n = max(1, source.n - n_test)
    gram, cluster = config.gram, config.cluster
    tile = (
        auto_tile(n, cluster.workers, kernel.work(1, 1, source.features)) if gram.tile == "auto" else min(gram.tile, n)
    )
    tiling = Tiling(n, tile)
    compute, storage = np.dtype(gram.compute), np.dtype(gram.storage)
    entries = tiling.stored_entries()
    stored = 0 if gram.mode == "recomputed" else entries * storage.itemsize
    inputs = source.n * source.features * compute.itemsize
    threads = cluster.threads_per_worker or max(1, cores() // max(1, cluster.workers))
    per_tile = tile * tile * (compute.itemsize + storage.itemsize) + 2 * tile * source.features * compute.itemsize
    folder = Path(config.store)
    while not folder.exists():
        folder = folder.parent
    free_disk, free_memory = shutil.disk_usage(folder).free, psutil.virtual_memory().available
    rank = min(n, default_rank(n))
    solver_memory = 8 * n * (2 * rank + 64)
    tables, hours = 0, None
    if isinstance(kernel, ConvKernel):
        tables, hours = kernel.table_bytes(2 * tile, compute.itemsize), core_hours(kernel, n, source.features)
    warnings = []
    if stored + inputs > 0.95 * free_disk:
        warnings.append(
            f"The store needs {(stored + inputs) / 1e9:.3g} GB, but the disk has {free_disk / 1e9:.3g} GB free."
        )
    if gram.mode == "resident" and stored > 0.9 * free_memory:
        warnings.append(
            f"Resident tiles take {stored / 1e9:.3g} GB, but {free_memory / 1e9:.3g} GB of memory are available."
        )
    if isinstance(config.kernel, ConvKernelConfig) and hours is not None and hours > config.kernel.max_core_hours:
        warnings.append(
            f"The Gram matrix is predicted to take {hours:,.3g} core hours, above kernel.max_core_hours = "
            f"{config.kernel.max_core_hours:,g}: a run of it will be refused."
        )
    return {
        "kernel": str(kernel),
        "data": config.data.path,
        "rows": source.n,
        "features": source.features,
        "n_train": n,
        "n_test": source.n - n,
        "tile": tile,
        "bands": tiling.bands,
        "tiles": tiling.count,
        "entries": entries,
        "gram_bytes": stored,
        "input_bytes": inputs,
        "gram_flops": float(sum(kernel.work(tiling.size(i), tiling.size(j), source.features) for i, j in tiling)),
        "gram_core_hours": hours,
        "pass_flops_per_column": 4.0 * entries,
        "cholesky_flops": n**3 / 3,
        "preconditioner_rank": rank,
        "worker_memory_bytes": threads * (per_tile + tables),
        "solver_memory_bytes": solver_memory + (stored if gram.mode in ("auto", "resident") else 0),
        "free_disk_bytes": free_disk,
        "free_memory_bytes": free_memory,
        "workers": cluster.workers,
        "threads_per_worker": threads,
        "warnings": warnings,
    }
