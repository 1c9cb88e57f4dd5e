"""Solves, ends of the spectrum and products beside LAPACK and SciPy, in one run, as a Markdown table.

    python benchmarks/solve.py CIFAR.npz N [--skip eigvalsh,cg,eigs,lowdim] [--log times.jsonl]
    python benchmarks/solve.py --fit times.jsonl

CIFAR.npz holds x (uint8 images) and y. Rows are standardised per channel and brought to unit norm; the kernel is the
depth-3 ReLU NTK, tiles are in memory, in float64 unless a row says float32. Seconds are single runs (products: best of
four): ratios move with the machine's GEMM speed, pass counts do not. ``--fit`` gives growth exponents from the logs of
several N.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigvalsh
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, cg, eigsh, lobpcg
from threadpoolctl import threadpool_limits

from ntkdist.cluster import TiledOperator
from ntkdist.kernels import Kernel
from ntkdist.linalg import (
    SingleCholesky,
    block_cg,
    certify,
    choose_method,
    choose_preconditioner,
    default_rank,
    lambda_max,
    lambda_min,
    rpcholesky,
    tiled_cholesky,
)
from ntkdist.tiling import Tiling, auto_tile

OUTPUTS, RTOL = 10, 1e-8


class Table:
    """Prints rows and logs their seconds."""

    def __init__(self, n, log):
        self.n, self.log = n, log

    def __call__(self, what, seconds, note=""):
        print(f"| {self.n} | {what} | {seconds:.3g} | {note} |", flush=True)
        if self.log:
            with open(self.log, "a") as file:
                file.write(json.dumps({"n": self.n, "what": what.split(",")[0], "seconds": seconds}) + "\n")


def timed(f):
    start = time.perf_counter()
    result = f()
    return time.perf_counter() - start, result


def operator(dense, dtype="float64", tile=None):
    """The pipeline's operator over tiles in memory."""
    n = len(dense)
    tiling = Tiling(n, tile or auto_tile(n))
    tiles = {(i, j): dense[tiling.rows(i), tiling.rows(j)].astype(dtype) for i, j in tiling}
    return TiledOperator(tiling, lambda i, j: tiles[i, j], np.dtype(dtype))


def products(table, dense, op, single):
    small = dense.astype(np.float32)
    for s in (1, 10, 16):
        v = np.random.default_rng(0).standard_normal((len(dense), s))
        v32 = v.astype(np.float32)
        for name, full, half in (
            ("float64", lambda v=v: dense @ v, lambda v=v: op.matmat(v)),
            ("float32", lambda v=v32: small @ v, lambda v=v: single.matmat_single(v)),
        ):
            half()
            whole, ours = min(timed(full)[0] for _ in range(4)), min(timed(half)[0] for _ in range(4))
            table(f"symmetric-half product {name} {s} columns", ours, f"K @ V {whole:.3g} s: {whole / ours:.2f}×")


def solves(table, dense, op, single, y, peers):
    n = len(dense)
    direct, factor = timed(lambda: cho_factor(dense, lower=True))
    back, _ = timed(lambda: cho_solve(factor, y))
    total = direct + back
    table("scipy cho_factor + cho_solve", total)

    def note(seconds, solve, of=""):
        worst = solve.residual_norms.max()
        return f"{total / seconds:.2f}× of cho, {solve.passes} passes, true residual {worst:.1e}{of}"

    prepared = {}
    for name, matrix, of in (("float64", op, ""), ("float32 tiles", single, " of the float32 matrix")):
        setup, p = timed(lambda matrix=matrix: rpcholesky(matrix, default_rank(n)))
        seconds, solve = timed(lambda matrix=matrix, p=p: block_cg(matrix, y, preconditioner=p, rtol=RTOL))
        seconds += setup
        prepared[name] = (p, setup, seconds)
        table(f"block_cg {name}, rank {p.rank}, setup {setup:.2g} s included", seconds, note(seconds, solve, of))
    seconds32, solve = timed(lambda: block_cg(op, y, preconditioner=SingleCholesky(op), rtol=RTOL))
    table("float32 Cholesky + block_cg", seconds32, note(seconds32, solve))
    choice = choose_method(op, outputs=OUTPUTS)
    took = {"cholesky": total, "cholesky32": seconds32, "cg": prepared["float64"][2]}[choice.method]
    table(f"auto: {choice.method}", took, f"{total / took:.2f}× of cho; {choice.reason}")
    tiles = operator(dense, tile=2048)
    seconds, _ = timed(lambda: tiled_cholesky(tiles))
    table("tiled_cholesky, tiles of 2048", seconds, f"{seconds / direct:.2f} of LAPACK's time")
    if peers:
        count = [0]

        def multiply(v):
            count[0] += 1
            return dense @ v

        linear = LinearOperator(dense.shape, multiply, dtype=float)
        seconds, _ = timed(lambda: [cg(linear, c, rtol=RTOL) for c in y.T])
        table("scipy cg per column", seconds, f"{total / seconds:.2f}× of cho, {count[0]} products")
    return prepared


def spectrum(table, dense, op, single, prepared, whole, peers):
    truth, base = np.nan, None
    if whole:
        base, truth = timed(lambda: eigvalsh(dense)[0])
        table("scipy eigvalsh", base, f"λ_min = {truth:.10g}")
    ratio = lambda s: "" if base is None else f"{base / s:.1f}× of eigvalsh, "  # noqa: E731
    for name, matrix in (("float64", op), ("float32 tiles", single)):
        p, setup, _ = prepared[name]
        seconds, pair = timed(lambda matrix=matrix, p=p: lambda_min(matrix, p))
        seconds += setup
        error = "" if np.isnan(truth) else f"error {abs(pair.value / truth - 1):.1e}, "
        table(f"lambda_min {name}, setup included", seconds, f"{ratio(seconds)}{error}{pair.passes} passes")
        if matrix is op:
            best, found = seconds, pair
    top_seconds, top = timed(lambda: lambda_max(op))
    table("lambda_max", top_seconds, f"{top.passes} passes, λ_max = {top.value:.10g}")
    more, (low, high) = timed(lambda: certify(op, found, top))
    width = (low.upper - low.lower) / low.value
    together = best + more
    table(
        "lambda_min + rigorous certificate of both ends",
        together,
        f"{ratio(together)}{low.grade}/{high.grade}, widths {width:.1e}, {(high.upper - high.lower) / high.value:.1e}",
    )
    if peers:
        count = [0]

        def multiply(v):
            count[0] += 1
            return dense @ v

        linear = LinearOperator(dense.shape, multiply, matmat=multiply, dtype=float)
        try:
            seconds, values = timed(lambda: eigsh(linear, 1, which="SA", tol=1e-9, maxiter=600)[0])
            table("scipy eigsh SA", seconds, f"{count[0]} products, {values[0]:.8g}")
        except ArpackNoConvergence:
            table("scipy eigsh SA", float("nan"), f"no eigenvalue after {count[0]} products")
        p = prepared["float64"][0]
        inverse = LinearOperator(dense.shape, p.apply, matmat=p.apply, dtype=float)
        x = np.random.default_rng(0).standard_normal((len(dense), 8))
        count[0] = 0
        warnings.simplefilter("ignore")  # it says that it does not meet its tolerance; the row says what it reached
        seconds, (values, _) = timed(lambda: lobpcg(linear, x, M=inverse, largest=False, tol=1e-4, maxiter=100))
        table("scipy lobpcg, the same preconditioner", seconds, f"{count[0]} products, {min(values):.8g}")


def low_dimensional(table, n):
    """Synthetic rows in four dimensions: where neighbours explain what a low-rank factor leaves."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 4))
    y = np.eye(OUTPUTS)[rng.integers(0, OUTPUTS, n)] - 1 / OUTPUTS
    dense = Kernel(depth=3).tile(x, x)
    op = operator(dense)
    direct, _ = timed(lambda: cho_solve(cho_factor(dense, lower=True), y))
    setup, (p, _) = timed(lambda: choose_preconditioner(op, rpcholesky(op, 200)))
    seconds, solve = timed(lambda: block_cg(op, y, preconditioner=p, rtol=RTOL))
    seconds += setup
    note = f"{direct / seconds:.2f}× of cho ({direct:.3g} s), {solve.passes} passes, {type(p).__name__}"
    table(f"four dimensions: block_cg, setup {setup:.2g} s included", seconds, note)


def fit(path):
    times = defaultdict(dict)
    for line in Path(path).read_text().splitlines():
        entry = json.loads(line)
        times[entry["what"]][entry["n"]] = entry["seconds"]
    print("| what | exponent of n | from |\n|---|---|---|")
    for what, found in times.items():
        if len(found) > 1 and all(np.isfinite(list(found.values()))):
            n, s = np.log(list(found)), np.log(list(found.values()))
            print(f"| {what} | {np.polyfit(n, s, 1)[0]:.2f} | {', '.join(str(k) for k in sorted(found))} |")


def main():
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("data", nargs="?")
    parse.add_argument("n", type=int, nargs="?", default=4000)
    parse.add_argument("--skip", default="")
    parse.add_argument("--log")
    parse.add_argument("--fit")
    options = parse.parse_args()
    if options.fit:
        fit(options.fit)
        return
    skip = set(options.skip.split(","))
    with np.load(options.data) as file:
        images, labels = file["x"].astype(np.float64), file["y"]
    images = (images - images.mean(axis=(0, 1, 2))) / images.std(axis=(0, 1, 2))
    rows = images.reshape(len(images), -1)
    rows /= np.linalg.norm(rows, axis=1)[:, None]
    n = options.n
    table = Table(n, options.log)
    print(f"load average {os.getloadavg()[0]:.1f} at the start\n\n| n | what | seconds | beside |\n|---|---|---|---|")
    seconds, dense = timed(lambda: Kernel(depth=3).tile(rows[:n], rows[:n]))
    table("Gram matrix", seconds)
    op, single = operator(dense), operator(dense, "float32")
    op.matmat(np.zeros((n, 1)))
    products(table, dense, op, single)
    y = np.eye(OUTPUTS)[labels[:n]] - 1 / OUTPUTS
    prepared = solves(table, dense, op, single, y, "cg" not in skip)
    spectrum(table, dense, op, single, prepared, "eigvalsh" not in skip, "eigs" not in skip)
    if "lowdim" not in skip:
        with threadpool_limits(os.cpu_count()):
            low_dimensional(table, n)


if __name__ == "__main__":
    main()
