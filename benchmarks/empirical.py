"""The empirical NTK of one wide network in one run on the same cores: by layers (ntkdist), by torch.func's Jacobian
contraction, by torch.func's NTK-vector products.

    python benchmarks/empirical.py --width 2048 --n 1000 --features 64 --depth 2 --columns 4

The structured kernel and the Jacobian contraction are computed whole, n × n, in float64 and compared entry by entry;
with ``--rows`` the contraction is that of the first rows, its seconds scaled by (n/rows)² and marked as extrapolated.
NTK-vector products cost the same for every column, so ``--columns`` of them are timed and n/columns times that is
reported, marked as extrapolated.  Each way runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np


def network(arguments: argparse.Namespace) -> tuple[Any, np.ndarray]:
    from ntkdist.kernels.finite_width import Architecture

    of = Architecture(arguments.depth, arguments.width, 1, input_scaling="1/d")
    rows = np.random.default_rng(1).standard_normal((arguments.n, arguments.features))
    return of.draw(arguments.features, 0), rows


def by_layers(arguments: argparse.Namespace) -> np.ndarray:
    from ntkdist.kernels.finite_width import features, structured_ntk

    made, x = network(arguments)
    start = time.perf_counter()
    rows = features(made, x)
    theta = structured_ntk(made, rows, rows)
    report(time.perf_counter() - start, theta, arguments, 1.0)
    return theta


def in_torch(arguments: argparse.Namespace) -> None:
    import torch

    from ntkdist.kernels.finite_width.torch_model import TorchModel
    from ntkdist.kernels.finite_width.torch_ntk import jacobian_ntk, product_ntk

    torch.set_num_threads(arguments.threads)
    made, x = network(arguments)
    of, d = made.architecture, made.features

    def f(parameters: dict[str, Any], row: Any) -> Any:
        for layer in range(1, of.depth + 2):
            h = of.factor(layer, d) * (parameters[f"w{layer}"] @ row)
            row = torch.relu(h)
        return h

    parameters = {f"w{l}": torch.from_numpy(w) for l, w in enumerate(made.weights, 1)}
    model, rows = TorchModel(f, parameters, ""), torch.from_numpy(x)
    start = time.perf_counter()
    with torch.no_grad():
        if arguments.way == "jacobian":
            part = rows[: arguments.rows] if arguments.rows else rows
            theta = jacobian_ntk(model, part, part, "mean", arguments.block).numpy()
            report(time.perf_counter() - start, theta, arguments, (arguments.n / len(part)) ** 2)
        else:
            theta = product_ntk(model, rows, rows[: arguments.columns], "mean", arguments.block).numpy()
            report(time.perf_counter() - start, theta, arguments, arguments.n / arguments.columns)


def report(seconds: float, theta: np.ndarray, arguments: argparse.Namespace, times: float) -> None:
    np.save(arguments.keep, theta)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds * times, "peak": peak, "extrapolated": times}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("width", 2048), ("n", 1000), ("features", 64), ("depth", 2), ("columns", 4)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--rows", type=int, default=0, help="rows of the Jacobian contraction, then scaled; 0: all")
    parser.add_argument("--block", type=int, default=50, help="rows of a Jacobian block")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("/tmp"))
    parser.add_argument("--way", default="")
    parser.add_argument("--keep", default="")
    arguments = parser.parse_args()
    if arguments.way:
        by_layers(arguments) if arguments.way == "layers" else in_torch(arguments)
        return
    found, tiles = {}, {}
    for way in ("layers", "jacobian", "products"):
        keep = str(arguments.folder / f"empirical-{way}.npy")
        command = [sys.executable, __file__, *sys.argv[1:], "--way", way, "--keep", keep]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[way], tiles[way] = json.loads(done.stdout.splitlines()[-1]), np.load(keep)
        Path(keep).unlink()
    base, truth = found["layers"]["seconds"], tiles["layers"]
    print(f"n = {arguments.n}, d = {arguments.features}, depth {arguments.depth}, width {arguments.width}, float64,")
    print(f"{arguments.threads} threads, Jacobian blocks of {arguments.block} rows\n")
    print("| way | seconds | ratio | peak memory, GiB | largest difference |\n|---|---|---|---|---|")
    for way, row in found.items():
        tile = tiles[way]
        off = np.abs(tile - truth[: tile.shape[0], : tile.shape[1]]).max() / truth.diagonal().max()
        told = f" (from {tile.shape[0]:,} × {tile.shape[1]:,} entries)" if row["extrapolated"] != 1 else ""
        ratio, peak = row["seconds"] / base, row["peak"] / 2**30
        print(f"| {way} | {row['seconds']:.3g}{told} | {ratio:.3g} | {peak:.2f} | {off:.1e} |")


if __name__ == "__main__":
    main()
