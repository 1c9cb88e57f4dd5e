"""Solves, λ_min and products beside LAPACK and SciPy, in one run, as a Markdown table.

    python benchmarks/solve.py CIFAR.npz [n …] [--eigvalsh-up-to 4000] [--peers-up-to 4000]

CIFAR.npz holds x (uint8 images). Rows are standardised per channel and brought to unit norm; the kernel is
the depth-3 ReLU NTK in float64. Seconds are single runs: ratios move with the machine, pass counts do not.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigvalsh
from scipy.sparse.linalg import LinearOperator, cg
from threadpoolctl import threadpool_limits

from ntkdist.kernels import Kernel
from ntkdist.linalg import (
    DenseOperator,
    accumulate_lower_tile,
    block_cg,
    certify,
    choose_method,
    default_rank,
    lambda_max,
    lambda_min,
    rpcholesky,
    tiled_cholesky,
)

THREADS = 2


class HalfOperator(DenseOperator):
    """A dense matrix read as its lower tiles only, each used twice, one thread per core."""

    def matmat(self, v):
        n, b = self.shape[0], self.tile_size
        bands = -(-n // b)
        pairs = [(i, j) for i in range(bands) for j in range(i + 1)]
        cut = [slice(i * b, min(n, (i + 1) * b)) for i in range(bands)]

        def part(k):
            out = np.zeros(v.shape)
            for i, j in pairs[k::THREADS]:
                other = None if i == j else out[cut[j]]
                accumulate_lower_tile(self.tile(i, j), v[cut[i]], v[cut[j]], out[cut[i]], other)
            return out

        with threadpool_limits(1), ThreadPoolExecutor(THREADS) as pool:
            return sum(pool.map(part, range(THREADS)))


def timed(f):
    start = time.perf_counter()
    result = f()
    return time.perf_counter() - start, result


def row(n, what, seconds, note):
    print(f"| {n} | {what} | {seconds:.3g} | {note} |", flush=True)


def products(n, op):
    for s in (1, 10, 16):
        v = np.random.default_rng(0).standard_normal((n, s))
        op.matmat(v)
        full = min(timed(lambda v=v: op.array @ v)[0] for _ in range(4))
        half = min(timed(lambda v=v: op.matmat(v))[0] for _ in range(4))
        row(n, f"symmetric-half product, {s} columns", half, f"K @ V {full:.3g} s: {full / half:.2f}×")


def solves(n, op, y, peers):
    direct, factor = timed(lambda: cho_factor(op.array, lower=True))
    back, _ = timed(lambda: cho_solve(factor, y))
    direct += back
    row(n, "scipy cho_factor + cho_solve", direct, "")
    setup, p = timed(lambda: rpcholesky(op, default_rank(n)))
    seconds, solve = timed(lambda: block_cg(op, y, preconditioner=p))
    ratio, worst = direct / (setup + seconds), solve.residual_norms.max()
    note = f"{ratio:.2f}× of it, {solve.passes} passes, residual {worst:.1e}"
    row(n, f"block_cg, rank {p.rank} (setup {setup:.2g} s included)", setup + seconds, note)
    choice = choose_method(op, outputs=y.shape[1])
    row(
        n,
        f"auto chooses {choice.method}",
        direct if choice.method == "cholesky" else setup + seconds,
        choice.reason,
    )
    tiled, _ = timed(lambda: tiled_cholesky(DenseOperator(op.array, tile_size=2048)))
    row(n, "tiled_cholesky, tiles of 2,048", tiled, f"{tiled / (direct - back):.2f} of LAPACK's time")
    if peers:
        count = [0]

        def multiply(v):
            count[0] += 1
            return op.array @ v

        linear = LinearOperator(op.shape, multiply, dtype=float)
        seconds, _ = timed(lambda: [cg(linear, c, rtol=1e-8) for c in y.T])
        row(n, "scipy cg per column", seconds, f"{direct / seconds:.2f}× of cho, {count[0]} products")
    return p


def spectrum(n, op, p, dense):
    seconds, pair = timed(lambda: lambda_min(op, p))
    truth, note = np.nan, ""
    if dense:
        whole, truth = timed(lambda: eigvalsh(op.array)[0])
        row(n, "scipy eigvalsh", whole, f"λ_min = {truth:.10g}")
        note = f"{whole / seconds:.1f}× of it, error {abs(pair.value / truth - 1):.1e}, "
    row(n, "lambda_min", seconds, note + f"{pair.passes} passes, {pair.reason}, value {pair.value:.8g}")
    top = lambda_max(op)
    more, (low, _) = timed(lambda: certify(op, pair, top))
    width = (low.upper - low.lower) / low.value
    total = seconds + more
    row(
        n,
        "both ends certified",
        total,
        (f"{whole / total:.1f}×, " if dense else "") + f"{low.grade}, width {width:.1e}",
    )


def main():
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("data")
    parse.add_argument("n", type=int, nargs="*", default=[4000, 8000, 12000])
    parse.add_argument("--eigvalsh-up-to", type=int, default=8000)
    parse.add_argument("--peers-up-to", type=int, default=12000)
    options = parse.parse_args()
    with np.load(options.data) as file:
        images, labels = file["x"].astype(np.float64), file["y"]
    images = (images - images.mean(axis=(0, 1, 2))) / images.std(axis=(0, 1, 2))
    rows = images.reshape(len(images), -1)
    rows /= np.linalg.norm(rows, axis=1)[:, None]
    print("| n | what | seconds | beside |\n|---|---|---|---|")
    for n in options.n:
        seconds, gram = timed(lambda n=n: Kernel(depth=3).tile(rows[:n], rows[:n]))
        row(n, "Gram matrix", seconds, "")
        op = HalfOperator(gram)
        products(n, op)
        p = solves(n, op, np.eye(10)[labels[:n]] - 0.1, n <= options.peers_up_to)
        spectrum(n, op, p, n <= options.eigvalsh_up_to)


if __name__ == "__main__":
    main()
