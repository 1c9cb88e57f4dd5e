"""What a run will take, before it starts: bytes, memory, flops, passes and hours; nothing is kept of it.

Sizes follow from the configuration and the shape of the data. Hours come from rates measured on the workers of the
configuration within ten seconds, from those scaled to a number of workers that is not there, or from the data sheets
of GPUs that are not there; each says which.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from ntkdist.cluster import ClusterSpec, cores, open_client
from ntkdist.config import ConvKernelConfig, RunConfig
from ntkdist.data import open_source
from ntkdist.kernels import ConvKernel, TileKernel
from ntkdist.linalg import default_rank
from ntkdist.pipeline.calibrate import Calibration, Rates, calibrate
from ntkdist.pipeline.fit import RunSize, memory_of_machine, unfit
from ntkdist.pipeline.forecast import SPECTRUM_COLUMNS, choose_mode, forecast
from ntkdist.pipeline.gpus import COPY_OUT, find_gpu
from ntkdist.pipeline.kernel import core_hours, kernel_for
from ntkdist.tiling import Tiling, auto_tile


@dataclass(frozen=True)
class Imagined:
    """A cluster that need not be there: so many workers like the ones measured, or so many GPUs of a kind."""

    workers: int | None = None
    gpus: int | None = None
    gpu: str = "h100"


def make_plan(config: RunConfig, imagined: Imagined | None = None, *, measure: bool = True) -> dict[str, Any]:
    """Predict the size and the hours of a run.

    Flops are multiply and add counted separately: the Gram product 2·d per entry plus the kernel's own pass; a pass
    K·V 4 per stored entry and column; Cholesky n³/3. Memory is per worker while computing, and of the driver while
    solving. ``measure=False`` leaves the hours out unless the cluster is imagined from data sheets.

    Raises
    ------
    InputError
        The data cannot be opened, or the GPU is not in the table.
    """
    imagined = imagined or Imagined()
    source = open_source(config.data.path, config.data.x, config.data.y)
    kernel = kernel_for(config, source.shape)
    n_test = round(source.n * config.data.test_fraction)
    n = max(1, source.n - n_test)
    gram, cluster = config.gram, config.cluster
    workers = imagined.gpus or imagined.workers or cluster.workers
    work = kernel.work(1, 1, source.features)
    tile = auto_tile(n, workers, work) if gram.tile == "auto" else min(gram.tile, n)
    tiling = Tiling(n, tile)
    threads = cluster.threads_per_worker or max(1, cores() // max(1, cluster.workers))
    memory, held = _memory(config, imagined)
    tables, conv_hours = 0, None
    if isinstance(kernel, ConvKernel):
        tables = kernel.table_bytes(2 * tile, np.dtype(gram.compute).itemsize)
        conv_hours = core_hours(kernel, n, source.features)
    size = RunSize.of(config, tiling, source.n, source.features, threads, workers, tables)
    folder = _existing(Path(config.store))
    free_disk = shutil.disk_usage(folder).free
    plan: dict[str, Any] = {
        "kernel": str(kernel),
        "data": config.data.path,
        "rows": source.n,
        "features": source.features,
        "n_train": n,
        "n_test": source.n - n,
        "tile": tile,
        "bands": tiling.bands,
        "tiles": tiling.count,
        "entries": size.entries,
        "gram_bytes": size.stored_bytes,
        "input_bytes": size.input_bytes,
        "gram_flops": float(sum(kernel.work(tiling.size(i), tiling.size(j), source.features) for i, j in tiling)),
        "gram_core_hours": conv_hours,
        "pass_flops_per_column": 4.0 * size.entries,
        "cholesky_flops": n**3 / 3,
        "preconditioner_rank": min(n, default_rank(n)),
        "worker_memory_bytes": size.worker_bytes,
        "solver_memory_bytes": size.driver_bytes + (size.resident_bytes if held is None else 0),
        "free_disk_bytes": free_disk,
        "free_memory_bytes": psutil.virtual_memory().available,
        "workers": workers,
        "threads_per_worker": threads,
    }
    found = _rates(config, imagined, kernel, source.features, tile, folder, measure)
    if found is not None:
        rates, plan["rates_from"] = found
        plan["rates"] = asdict(rates)
        item = np.dtype(gram.storage).itemsize
        room = held if held is not None else memory
        mode = choose_mode(size.entries, item, room, rates) if gram.mode == "auto" else gram.mode
        plan["mode"] = mode
        plan |= forecast(
            n=n,
            entries=size.entries,
            itemsize=item,
            stored=gram.mode != "recomputed",
            mode=mode,
            rank=plan["preconditioner_rank"],
            rtol=config.solve.rtol,
            rigorous=config.spectrum.certificate == "rigorous",
            rates=rates,
        )
    plan["warnings"] = [*unfit(config, size, free_disk, memory, held), *_hints(plan, gram.mode)]
    if isinstance(config.kernel, ConvKernelConfig) and (conv_hours or 0) > config.kernel.max_core_hours:
        plan["warnings"].append(
            f"The Gram matrix is predicted to take {conv_hours:,.3g} core hours, above kernel.max_core_hours = "
            f"{config.kernel.max_core_hours:,g}: a run of it will be refused."
        )
    return plan


def _memory(config: RunConfig, imagined: Imagined) -> tuple[float, float | None]:
    """Bytes of a worker's memory limit, and bytes all workers may hold of tiles (None: the driver holds them)."""
    if imagined.gpus:
        gpu = find_gpu(imagined.gpu)
        return gpu.memory, 0.85 * gpu.memory * imagined.gpus
    return memory_of_machine(config.cluster, imagined.workers)


def _rates(
    config: RunConfig,
    imagined: Imagined,
    kernel: TileKernel,
    features: int,
    tile: int,
    folder: Path,
    measure: bool,
) -> tuple[Rates, str] | None:
    gram, cluster = config.gram, config.cluster
    columns = SPECTRUM_COLUMNS
    calibration = Calibration(
        kernel, config.kernel.which, features, tile, columns, gram.compute, gram.storage, str(folder.resolve())
    )
    if imagined.gpus:
        gpu, count = find_gpu(imagined.gpu), imagined.gpus
        tiles, products = gpu.tile_entries(features, gram.compute), gpu.product_entries(columns, gram.storage)
        rates = Rates(tiles * count, gpu.flops("float64") * count, products * count, COPY_OUT, COPY_OUT)
        return rates, (
            f"predicted from the data sheet of the {gpu.name.upper()} ({count} of them), not measured; the disk is "
            "assumed to keep up with the copies out"
        )
    if not measure:
        return None
    with ExitStack() as stack:
        client = None
        if cluster.type != "in-process":
            client = stack.enter_context(open_client(ClusterSpec(**cluster.model_dump())))
        rates, count = calibrate(calibration, client)
    if imagined.workers is not None and imagined.workers != count:
        factor = imagined.workers / count
        return rates.times(factor), f"measured on {count} worker(s) here, times {factor:g}; one disk for all"
    return rates, f"measured now on {count} worker(s)"


def _hints(plan: dict[str, Any], mode: str) -> list[str]:
    hints = []
    seconds = plan.get("seconds", {})
    if seconds and seconds["certificate"] > 10 * (seconds["spectrum"] + seconds["solve"] + seconds["gram"]):
        hints.append(
            f"The rigorous certificate takes {seconds['certificate'] / 3600:.3g} of {plan['hours']:.3g} hours; "
            "--set spectrum.certificate=probabilistic does without the factorization."
        )
    if seconds and mode == "auto" and plan["mode"] == "recomputed":
        hints.append(
            "Recomputing tiles is faster than reading them back here; --set gram.mode=recomputed stores none of the "
            f"{plan['gram_bytes'] / 1e9:.3g} GB."
        )
    return hints


def _existing(path: Path) -> Path:
    while not path.is_dir():
        path = path.parent
    return path
