"""The Gram stage and K·V at scale, each figure a ratio measured side by side in this run.

``python benchmarks/scale.py gram``: one worker against the bare tile loop, two workers against one, the write
bandwidth against a raw file. ``… product``: K·V against NumPy on the same data. ``… large``: n = 100,000 through the
Gram stage and three passes in streamed and in recomputed mode on two workers of 2 GB.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from threadpoolctl import threadpool_limits

import ntkdist as ntk
from ntkdist.cluster import ClusterSpec, DistributedOperator, TiledOperator, open_client
from ntkdist.pipeline.gram import compute_gram, compute_tile
from ntkdist.pipeline.inputs import write_rows
from ntkdist.pipeline.operator import open_operator
from ntkdist.pipeline.tile_source import ComputedTiles, RowBlocks
from ntkdist.store import Identity, RunStore, writing
from ntkdist.tiling import Grid, Tiling

KERNEL = ntk.Kernel(depth=3)


def rows_of(n: int, d: int, dtype: str = "float64") -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, d)).astype(dtype)


@contextmanager
def stored(folder: Path, x: np.ndarray, tile: int, storage: str) -> Iterator[RunStore]:
    """A claimed store with its rows written and no tile yet."""
    identity = Identity(KERNEL.fingerprint, "ntk", f"bench-{x.shape}", str(x.dtype), storage, tile, len(x))
    with writing(folder) as store:
        store.claim(identity, {"kernel": KERNEL.spec(), "kernel_description": str(KERNEL)})
        store.make_rows("inputs/x_train", Grid(len(x), x.shape[1], tile, x.shape[1]), x.dtype)
        store.begin_stage("inputs", identity.data)

        write_rows(store.rows("inputs/x_train"), x)
        arrays = {"train_rows": np.arange(len(x)), "duplicates": np.empty((0, 2), np.int64)}
        store.finish_stage("inputs", identity.data, {"n_train": len(x), "n_test": 0}, arrays, keep=True)
        yield store


def seconds(work: Any, repeat: int = 3) -> float:
    """The best of ``repeat`` runs."""
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def gram(n: int, d: int) -> None:
    """Workers against the bare loop: the same tiles, computed and written through the same store."""
    x, tile = rows_of(n, d), 2048
    tiling = Tiling(n, tile)
    found: dict[str, float] = {}
    KERNEL.tile(x[:tile], x[:tile])
    with tempfile.TemporaryDirectory(dir=".", prefix="bench-") as name:
        folder = Path(name)
        with stored(folder / "bare.zarr", x, tile, "float64") as store:
            rows, tiles = RowBlocks(str(store.root), tiling), store.tiles

            def loop() -> None:
                for i, j in tiling:
                    tiles.record([tiles.write(i, j, compute_tile(KERNEL, rows, i, j, "ntk"), 0.0)])

            found["bare loop"] = seconds(loop, 1)
        for workers in (1, 2):
            with stored(folder / f"w{workers}.zarr", x, tile, "float64") as store:
                spec = ClusterSpec(type="local", workers=workers, threads_per_worker=1)
                with open_client(spec) as client:
                    client.run(_warm, d)
                    start = time.perf_counter()
                    compute_gram(store, KERNEL, client)
                    found[f"{workers} worker"] = time.perf_counter() - start
        raw = folder / "raw"
        data = os.urandom(tile * tile * 8)

        def write() -> None:
            with raw.open("wb") as file:
                for _ in range(tiling.count):
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())

        found["raw write"] = seconds(write, 1)
        with stored(folder / "write.zarr", x, tile, "float64") as store:
            made = compute_tile(KERNEL, RowBlocks(str(store.root), tiling), 0, 0, "ntk")
            places = [(i, j) for i, j in tiling if tiling.entries(i, j) == tile * tile]
            tiles = store.tiles
            start = time.perf_counter()
            for i, j in places:
                tiles.record([tiles.write(i, j, made, 0.0)])
            found["store write"] = (time.perf_counter() - start) * tiling.count / len(places)
    size = tiling.count * tile * tile * 8
    print(f"n = {n}, d = {d}, tile {tile}, float64, {tiling.count} tiles, {size / 1e9:.2f} GB")
    for what, value in found.items():
        print(f"  {what:12s} {value:8.2f} s  {size / 8 / value / 1e6:8.0f} M entries/s  {size / value / 1e9:6.2f} GB/s")
    print(f"  1 worker / bare loop        {found['1 worker'] / found['bare loop']:.3f}   (target <= 1.10)")
    print(f"  1 worker / 2 workers        {found['1 worker'] / found['2 worker']:.3f}   (target >= 1.8)")
    print(f"  raw write / store write     {found['raw write'] / found['store write']:.3f}")


def _warm(d: int) -> None:
    KERNEL.tile(rows_of(256, d))


def product(n: int, s: int, dtype: str, *, workers: bool = True) -> None:
    """K·V over resident tiles against NumPy's GEMM over the whole matrix, which it needs twice the memory for."""
    tile = 2048
    tiling = Tiling(n, tile)
    rng = np.random.default_rng(0)
    full = np.empty((n, n), dtype)
    for i, j in tiling:
        a = tiling.rows(i), tiling.rows(j)
        full[a] = rng.standard_normal((tiling.size(i), tiling.size(j)), dtype=np.float32)
        full[a[1], a[0]] = full[a].T
    v = rng.standard_normal((n, s))
    single = v.astype(dtype)
    bare = seconds(partial(np.matmul, full, single))
    tiles = {(i, j): np.ascontiguousarray(full[tiling.rows(i), tiling.rows(j)]) for i, j in tiling}
    here = TiledOperator(tiling, partial(_get, tiles), np.dtype(dtype))
    found = {"in process": seconds(partial(here.matmat, v))}
    if dtype == "float32":
        found["in process, float32 products"] = seconds(partial(here.matmat_single, v))
    expected = here.matmat(v)
    scale = np.abs(expected).max()
    print(f"n = {n}, s = {s}, {dtype}: NumPy {bare * 1e3:.0f} ms ({dtype} arithmetic, all BLAS threads)")
    print(f"  largest difference to NumPy {np.abs(expected - full @ single).max() / scale:.1e} of the largest entry")
    del full, tiles, here
    if workers:
        with open_client(ClusterSpec(type="local", workers=2, threads_per_worker=1)) as client:
            x = rows_of(n, 16, dtype)
            source = ComputedTiles(None, tiling, KERNEL, "ntk", f"bench-{n}-{dtype}")
            there = DistributedOperator(client, source, tiling, np.dtype(dtype), budget=1 << 40, data=x)
            there.matmat(v)
            found["2 workers, resident"] = seconds(lambda: there.matmat(v))
    for what, value in found.items():
        print(f"  {what:30s} {value * 1e3:7.0f} ms   {value / bare:.2f} of NumPy   (target <= 1.25)")


def _get(tiles: dict[tuple[int, int], np.ndarray], i: int, j: int) -> np.ndarray:
    return tiles[i, j]


class PeakMemory:
    """Peak resident memory of the driver and of each worker process, sampled."""

    def __init__(self) -> None:
        self.driver = 0
        self.workers: dict[int, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._stop.wait(0.1):
            self.driver = max(self.driver, me.memory_info().rss)
            for child in me.children(recursive=True):
                try:
                    self.workers[child.pid] = max(self.workers.get(child.pid, 0), child.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue


def large(n: int, d: int, folder: Path) -> None:
    """A matrix far beyond the workers' memory: Gram, then three passes in each mode; the two agree to rounding."""
    x, tile = rows_of(n, d, "float64"), 2048
    tiling = Tiling(n, tile)
    v = np.random.default_rng(1).standard_normal((n, 16))
    print(f"n = {n}, d = {d}, tile {tile}: {tiling.stored_entries() * 4 / 1e9:.1f} GB of float32 tiles")
    products = {}
    try:
        with stored(folder, x, tile, "float32") as store, PeakMemory() as peak:
            spec = ClusterSpec(type="local", workers=2, threads_per_worker=1, memory_limit="2GB")
            with open_client(spec) as client:
                start = time.perf_counter()
                compute_gram(store, KERNEL, client)
                took = time.perf_counter() - start
                print(f"  Gram {took:.1f} s, {tiling.stored_entries() / took / 1e6:.0f} M entries/s")
                for mode in ("streamed", "recomputed"):
                    op = open_operator(store, KERNEL, mode, client).operator
                    for k in range(3):
                        start = time.perf_counter()
                        products[mode] = op.matmat(v)
                        print(f"  {mode} pass {k + 1}: {time.perf_counter() - start:.1f} s", flush=True)
        workers = sorted(peak.workers.values(), reverse=True)[:2]
        print(
            f"  peak memory: workers {' + '.join(f'{w / 1e9:.2f}' for w in workers)} = {sum(workers) / 1e9:.2f} GB, "
            f"driver {peak.driver / 1e9:.2f} GB"
        )
        difference = np.abs(products["streamed"] - products["recomputed"]).max() / np.abs(products["recomputed"]).max()
        print(f"  streamed (float32 tiles) against recomputed (float64): {difference:.1e} of the largest entry")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["gram", "product", "large"])
    parser.add_argument("--n", type=int)
    parser.add_argument("--d", type=int, default=64)
    arguments = parser.parse_args()
    if arguments.what == "gram":
        gram(arguments.n or 16_384, arguments.d)
    elif arguments.what == "product":
        with threadpool_limits(psutil.cpu_count(logical=True)):
            for n in (arguments.n,) if arguments.n else (16_384, 32_768):
                for dtype in ("float64", "float32") if n < 30_000 else ("float32",):
                    product(n, 16, dtype)
    else:
        large(arguments.n or 100_000, arguments.d, Path("bench-large.zarr"))


if __name__ == "__main__":
    main()
