"""Pairs of images per second of the convolutional NTK: ntkdist and neural-tangents, side by side in one run.

    python benchmarks/cntk.py --peer /path/to/venv/bin/python --threads 2

``--peer`` is a Python that has neural-tangents (see benchmarks/gram.py).  Rectangular tiles of random images, best of
two runs, compilation excluded; float32 and float64.  Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time

import numpy as np

# readout, side, depth, our rows and columns, the peer's rows and columns
CASES = [("flatten", 32, 5, 128, 512, 64, 64), ("gap", 16, 5, 16, 64, 4, 4), ("flatten", 32, 21, 64, 256, 32, 32)]
PEER = r"""
import json, sys, time, types
sys.modules["neural_tangents.experimental"] = types.ModuleType("x")
import numpy as np, jax
jax.config.update("jax_enable_x64", True)
from neural_tangents import stax
out = []
for readout, side, L, _, _, n, m, dtype in json.loads(sys.argv[1]):
    rng = np.random.default_rng(0)
    x, z = (rng.standard_normal((k, side, side, 3)).astype(dtype) for k in (n, m))
    block = [stax.Conv(1, (3, 3), padding="SAME", W_std=2**0.5, b_std=None), stax.Relu()] * L
    end = stax.Flatten() if readout == "flatten" else stax.GlobalAvgPool()
    f = jax.jit(lambda a, b: stax.serial(*block, end, stax.Dense(1, b_std=None))[2](a, b, "ntk"))
    f(x, z).block_until_ready()
    best = 1e9
    for _ in range(2):
        t = time.perf_counter(); f(x, z).block_until_ready(); best = min(best, time.perf_counter() - t)
    out.append(n * m / best)
print(json.dumps(out))
"""


def ours(readout: str, side: int, depth: int, n: int, m: int, dtype: str, threads: int) -> float:
    from ntkdist import ConvKernel

    rng = np.random.default_rng(0)
    x, z = (rng.standard_normal((k, side, side, 3)).astype(dtype) for k in (n, m))
    kernel, best = ConvKernel(depth, readout=readout), float("inf")
    kernel.tile(x[:1], z[:1])
    for _ in range(2):
        start = time.perf_counter()
        kernel.tile(x, z, threads=threads)
        best = min(best, time.perf_counter() - start)
    return n * m / best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", help="a Python with neural-tangents")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    cases = [(*case, dtype) for case in CASES for dtype in ("float32", "float64")]
    mine = [ours(*case[:5], case[7], args.threads) for case in cases]
    theirs: list[float] = []
    if args.peer:
        done = subprocess.run([args.peer, "-c", PEER, json.dumps(cases)], check=True, capture_output=True, text=True)
        theirs = json.loads(done.stdout)
    print("| readout | images | L | dtype | ntkdist pairs/s | neural-tangents pairs/s | ratio |")
    print("|---|---|---|---|---|---|---|")
    for k, case in enumerate(cases):
        peer = f"{theirs[k]:,.1f} | {mine[k] / theirs[k]:.1f}×" if theirs else "not run | –"
        print(f"| {case[0]} | {case[1]}×{case[1]} | {case[2]} | {case[7]} | {mine[k]:,.0f} | {peer} |")


if __name__ == "__main__":
    main()
