"""Entries per second of a full symmetric Gram matrix: ntkdist, neural-tangents, and the bare limits, in one
run.

    python benchmarks/gram.py --peer /path/to/venv/bin/python --n 8192 --threads 2

``--peer`` is a Python that has neural-tangents (jax==0.4.30 jaxlib==0.4.30 "numpy<2" "scipy<1.14"
neural-tangents==0.6.5, with frozendict and absl-py).  Both sides get the same cores and the same shapes;
every number is n² entries over the best of three runs, compilation excluded.  Prints two Markdown tables.

"dense" is one mirrored matrix in memory, as neural-tangents returns it; "stored" is the lower triangle in tiles of
``TILE`` rows, which is what a run computes and keeps: the same n² entries of information.  ``--shapes`` compares
depths and activations at d = 64 instead, on rows of unit norm, where all of them are one function of the angle.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

import numpy as np

TILE = 2048
CASES = [(8, 3, "float64"), (8, 10, "float64"), (3072, 3, "float32"), (3072, 3, "float64")]
PEER = r"""
import json, sys, time, types
sys.modules["neural_tangents.experimental"] = types.ModuleType("x")
import numpy as np, jax
jax.config.update("jax_enable_x64", True)
from neural_tangents import stax
out = []
for n, d, L, dtype in json.loads(sys.argv[1]):
    x = np.random.default_rng(0).standard_normal((n, d)).astype(dtype)
    block = [stax.Relu(), stax.Dense(1, W_std=2**0.5, b_std=None)]
    layers = [stax.Dense(1, W_std=d**0.5, b_std=None)] + block * L
    f = jax.jit(lambda v: stax.serial(*layers)[2](v, None, "ntk"))
    f(x).block_until_ready()
    best = 1e9
    for _ in range(3):
        t = time.perf_counter(); f(x).block_until_ready(); best = min(best, time.perf_counter() - t)
    out.append(n * n / best)
print(json.dumps(out))
"""


def best(work: Callable[[], object], repeats: int = 3) -> float:
    from ntkdist.kernels.row_memory import ROWS

    work()
    times = []
    for _ in range(repeats):
        ROWS.clear()
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def lower_triangle(kernel: Any, x: np.ndarray, threads: int) -> Callable[[], None]:
    """All tiles (i, j) with i ≥ j, one after another, into memory that exists already."""
    blocks = [x[first : first + TILE] for first in range(0, len(x), TILE)]
    out = np.zeros((TILE, TILE), x.dtype)

    def work() -> None:
        for i, rows in enumerate(blocks):
            for columns in blocks[: i + 1]:
                kernel.tile(rows, columns, out=out[: len(rows), : len(columns)], threads=threads)

    return work


def shapes(n: int, threads: int) -> None:
    """Depths and activations side by side."""
    from ntkdist.kernels import Kernel

    x = np.random.default_rng(0).standard_normal((n, 64))
    print("| activation | L | M/s | of ReLU, L = 3 |\n|---|---|---|---|")
    first = None
    for activation in ("relu", "erf", "gelu", "tanh"):
        for depth in (3, 10, 50):
            kernel = Kernel(depth, activation=activation, input_scaling="unit", sigma_w=1.0, sigma_b=0.3)
            rate = n * n / best(lower_triangle(kernel, x, threads))
            first = first or rate
            print(f"| {activation} | {depth} | {rate / 1e6:.0f} | {rate / first:.2f} |", flush=True)


def main() -> None:
    from scipy.linalg import blas

    from ntkdist.kernels import Kernel

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", help="a Python with neural-tangents")
    parser.add_argument("--n", type=int, default=8192)
    parser.add_argument("--peer-n", type=int, help="rows for the peer where its memory needs fewer")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cases", default="0,1,2,3", help="which of the four cases to run")
    parser.add_argument("--shapes", action="store_true", help="depths and activations instead")
    args = parser.parse_args()
    if args.shapes:
        shapes(args.n, args.threads)
        return
    cases = [CASES[int(number)] for number in args.cases.split(",")]
    n, peer_n = args.n, args.peer_n or args.n
    theirs = [float("nan")] * len(cases)
    if args.peer:
        text = json.dumps([(peer_n, *case) for case in cases])
        answer = subprocess.run([args.peer, "-c", PEER, text], capture_output=True, text=True, check=True)
        theirs = json.loads(answer.stdout.splitlines()[-1])
    print(
        "| d | L | dtype | dense M/s | stored M/s | neural-tangents M/s | dense ratio | stored ratio | bare GEMM M/s |"
        " bare SYRK M/s | memory write M/s |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for (d, depth, dtype), peer in zip(cases, theirs, strict=True):
        x = np.random.default_rng(0).standard_normal((n, d)).astype(dtype)
        out = np.empty((n, n), dtype)
        kernel = Kernel(depth)
        ours = n * n / best(lambda: kernel.tile(x, x, out=out, threads=args.threads))  # noqa: B023
        stored = n * n / best(lower_triangle(kernel, x, args.threads))
        gemm = n * n / best(lambda: np.matmul(x, x[::1].copy().T, out=out))  # noqa: B023
        write = n * n / best(lambda: out.fill(1.0))  # noqa: B023
        call = blas.ssyrk if dtype == "float32" else blas.dsyrk
        syrk = n * n / best(lambda: call(1.0, x.T, trans=1, c=out.T, overwrite_c=1))  # noqa: B023
        print(
            f"| {d} | {depth} | {dtype} | {ours / 1e6:.0f}"
            f" | {stored / 1e6:.0f} | {peer / 1e6:.1f} | {ours / peer:.1f}× |"
            f" {stored / peer:.1f}× |"
            f" {gemm / 1e6:.0f} | {syrk / 1e6:.0f} | {write / 1e6:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
