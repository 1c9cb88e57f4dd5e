"""Error against the number of training rows: measured on subsamples, beside what the kernel's spectrum predicts.

Measured: kernel regression on random subsets of the training rows, each solved densely, scored on held-out rows.
Predicted: the eigenframework with the training rows as the population, from their whole spectrum up to
``theory.dense_rows`` rows, and beyond from the nodes of Lanczos quadrature.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from ntkdist.linalg import DenseOperator, cholesky_solve, spectral_sample
from ntkdist.pipeline.cross import cross_block
from ntkdist.pipeline.session import Session
from ntkdist.theory.dynamics import Dynamics
from ntkdist.theory.eigenframework import learning_curve

Array = NDArray[Any]
LARGEST = 4096
"""Rows of the largest subsample, solved densely."""
_CROSS_ENTRIES = 50_000_000
_TEST_ROWS = 2000


def curve_section(session: Session, training: Dynamics, ridge: float) -> dict[str, Any] | None:
    """The learning curve of a run; None when sizes are empty or no row is held out."""
    settings, n = session.config.theory, session.identity.n
    sizes = auto_sizes(n, session.targets.shape[1]) if settings.sizes == "auto" else sorted(set(settings.sizes))
    sizes = [s for s in sizes if s <= min(n, LARGEST)]
    if not sizes or session.n_test == 0:
        return None
    measured = measure(session, sizes, settings.repeats, settings.seed, ridge)
    predicted, how = predict(session, training, sizes, ridge)
    return measured | {"predicted_mse": predicted, "predicted_how": how}


def auto_sizes(n: int, outputs: int) -> list[int]:
    """About six sizes, doubling up to n or ``LARGEST``."""
    top = min(n, LARGEST)
    smallest = max(2 * outputs, 8)
    found = [top]
    while found[-1] // 2 >= smallest and len(found) < 6:
        found.append(found[-1] // 2)
    return found[::-1]


def measure(session: Session, sizes: list[int], repeats: int, seed: int, ridge: float) -> dict[str, Any]:
    """Held-out squared error per row (outputs summed) and accuracy for every size and repeat."""
    n, rows = session.identity.n, min(session.n_test, _TEST_ROWS, max(1, _CROSS_ENTRIES // session.identity.n))
    x = session.store.read_array("inputs/x_test", slice(0, rows))
    y_test = session.store.read_array("inputs/y_test", slice(0, rows))
    cross, y = cross_block(session, x), session.targets
    rng = np.random.default_rng(seed)
    inputs = session.store.stage("inputs")
    assert inputs is not None
    classes = inputs.result["task"] == "classification"
    mse: list[list[float | None]] = []
    accuracy: list[list[float | None]] = []
    for size in sizes:
        mse.append([])
        accuracy.append([])
        for _ in range(repeats if size < n else 1):
            drawn = np.sort(rng.permutation(n)[:size])
            part = DenseOperator(session.gram.operator.block(drawn, drawn))
            solve = cholesky_solve(part, y[drawn], ridge=ridge, rtol=1e-6)
            if not np.isfinite(solve.x).all():
                mse[-1].append(None)
                accuracy[-1].append(None)
                continue
            f = cross[:, drawn] @ solve.x
            mse[-1].append(float(np.mean(np.sum((f - y_test) ** 2, axis=1))))
            accuracy[-1].append(float(np.mean(f.argmax(axis=1) == y_test.argmax(axis=1))) if classes else None)
    return {
        "n": sizes,
        "mse": [_mean(row) for row in mse],
        "mse_spread": [_spread(row) for row in mse],
        "accuracy": [_mean(row) for row in accuracy] if classes else None,
        "accuracy_spread": [_spread(row) for row in accuracy] if classes else None,
        "repeats": repeats,
        "test_rows": rows,
        "ridge": ridge,
        "convention": "squared error per held-out row, summed over outputs",
    }


def predict(session: Session, training: Dynamics, sizes: list[int], ridge: float) -> tuple[list[float | None], str]:
    """The eigenframework's error on unseen rows; None where the subsample is most of the population."""
    gram, n = session.gram, session.identity.n
    inside = [s for s in sizes if s <= n // 2]
    if not inside:
        return [None] * len(sizes), "not predicted: every subsample is more than half of the rows"
    if n <= session.config.theory.dense_rows:
        values, vectors = eigh(gram.to_numpy().astype(np.float64))
        energies = ((vectors.T @ session.targets) ** 2).sum(axis=1)
        weights, how = np.ones(n), f"whole spectrum of the {n} training rows"
    else:
        sample = spectral_sample(gram.operator, probes=8, steps=40, seed=0)
        space = training.space
        nodes = np.concatenate(sample.nodes)
        counts = np.concatenate(sample.weights) / len(sample.nodes)
        targets = session.targets
        start = space.vectors.T @ (space.basis.T @ targets)
        values = np.concatenate([nodes, space.theta])
        energies = np.concatenate([np.zeros(len(nodes)), (start**2).sum(axis=1)])
        weights = np.concatenate([counts * (n / counts.sum()), np.zeros(len(space.theta))])
        how = "stochastic Lanczos quadrature of the training rows' spectrum (8 probes, 40 steps)"
    found = learning_curve(np.maximum(values, 0.0), energies, inside, ridge=ridge, weights=weights)
    by_size = dict(zip(inside, found.unseen_mse.tolist(), strict=True))
    return [by_size[s] if s in by_size and np.isfinite(by_size[s]) else None for s in sizes], how


def _mean(values: list[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None


def _spread(values: list[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.std(known, ddof=1)) if len(known) > 1 else None
