"""Accuracy of fully connected kernels on CIFAR-10, NTK and NNGP, with the measured learning curve.

    python benchmarks/cifar10.py FOLDER --depth 3 >> rows.jsonl

FOLDER holds cifar10_train.npz and cifar10_test.npz with x (n, 32, 32, 3) uint8 and y. Rows are standardised per channel
on the training images and divided by their norm; targets are one-hot minus 1/10; arithmetic is float64. The ridge is 0,
and beside it the one of least leave-one-out error on 3,000 training rows, scaled with n; no test score is used. Every
subset is the first rows of one random order, solved by Cholesky.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigh

import ntkdist as ntk
from ntkdist.theory import learning_curve, ridge_path

TUNED_ON = 3000


def rows(folder: Path, n: int) -> tuple[np.ndarray, ...]:
    train, test = (np.load(folder / f"cifar10_{name}.npz") for name in ("train", "test"))
    x, z = (part["x"].astype(np.float64) / 255.0 for part in (train, test))
    mean, deviation = x.mean(axis=(0, 1, 2)), x.std(axis=(0, 1, 2))
    x, z = (((part - mean) / deviation).reshape(len(part), -1) for part in (x, z))
    x, z = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (x, z))
    order = np.random.default_rng(0).permutation(len(x))[:n]
    return x[order], np.eye(10)[train["y"][order]] - 0.1, z, np.eye(10)[test["y"]] - 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--rows", type=int, default=12_000)
    parser.add_argument("--which", choices=("ntk", "nngp"), nargs="+", default=["ntk", "nngp"])
    asked = parser.parse_args()
    x, y, z, y_test = rows(asked.folder, asked.rows)
    truth = y_test.argmax(axis=1)
    kernel = ntk.Kernel(depth=asked.depth)
    sizes = [s for s in (375, 750, 1500, 3000, 6000) if s < len(x)] + [len(x)]
    for which in asked.which:
        start = time.perf_counter()
        full = kernel.tile(x, which=which, threads=2)
        cross = kernel.cross(z, x, which=which, threads=2)
        made = time.perf_counter() - start
        tuned = min(TUNED_ON, len(x))
        values, vectors = eigh(full[:tuned, :tuned])
        mean = float(np.trace(full)) / len(x)
        path = ridge_path(values, vectors, y[:tuned], [0.0, *(mean * np.geomspace(1e-4, 3.0, 16))])
        share = path.best_loo / tuned
        energies = ((vectors.T @ y[:tuned]) ** 2).sum(axis=1)
        inside = [s for s in sizes if s <= tuned // 2]
        predicted = dict(zip(inside, learning_curve(values, energies, inside).unseen_mse.tolist(), strict=True))
        for size in sizes:
            for name, ridge in (("zero", 0.0), ("loo", share * size)):
                begun = time.perf_counter()
                part = full[:size, :size].copy(order="F")
                part[np.diag_indices(size)] += ridge
                f = cross[:, :size] @ cho_solve(cho_factor(part, lower=True, overwrite_a=True), y[:size])
                line = {
                    "depth": asked.depth,
                    "which": which,
                    "n": size,
                    "ridge": name,
                    "ridge_value": ridge,
                    "accuracy": float(np.mean(f.argmax(axis=1) == truth)),
                    "mse": float(np.mean(np.sum((f - y_test) ** 2, axis=1))),
                    "predicted_mse": predicted.get(size) if name == "zero" else None,
                    "solve_seconds": time.perf_counter() - begun,
                    "kernel_seconds": made,
                    "python": platform.python_version(),
                }
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
