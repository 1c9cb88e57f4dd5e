"""Stage 6, predictions f(x*) = Θ(x*, X) α on held-out rows, streamed block by block."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ntkdist.pipeline.progress import Progress, Silent
from ntkdist.pipeline.session import Session

Array = NDArray[Any]
_TEST_ROWS = 2048


def predict_rows(session: Session, x: Array, progress: Progress | None = None) -> Array:
    """f(x) for rows already prepared like the training rows, (m, k) float64."""
    progress = progress or Silent()
    weights = session.store.stage_array("solution", "weights")
    out = np.zeros((len(x), weights.shape[1]))
    dtype = np.dtype(session.identity.compute)
    progress.start("predict", len(x) * session.tiling.bands, "blocks of rows")
    with threadpool_limits(1):
        for band in range(session.tiling.bands):
            where = session.tiling.rows(band)
            train = session.store.read_array("inputs/x_train", where)
            for start in range(0, len(x), _TEST_ROWS):
                rows = slice(start, start + _TEST_ROWS)
                cross = session.kernel.cross(
                    np.ascontiguousarray(x[rows], dtype=dtype), train, which=session.identity.which
                )
                out[rows] += cross.astype(np.float64) @ weights[where]
                progress.update(band * len(x) + min(len(x), start + _TEST_ROWS))
    progress.finish()
    return out


def compute_predictions(session: Session, progress: Progress | None = None) -> dict[str, Any] | None:
    """Predict the held-out rows and score them; None when no row is held out."""
    solution, inputs = session.store.stage("solution"), session.store.stage("inputs")
    assert solution is not None
    assert inputs is not None
    if inputs.result["n_test"] == 0:
        return None
    key = session.key("predictions", solution.key)
    finished = session.store.stage("predictions", key)
    if finished is not None:
        return finished.result
    start = time.perf_counter()
    x, y = session.store.read_array("inputs/x_test"), session.store.stage_array("inputs", "y_test")
    f = predict_rows(session, x, progress)
    ridge = float(solution.result["ridge"])
    fitted = session.targets - ridge * session.store.stage_array("solution", "weights")
    task = inputs.result["task"]
    result: dict[str, Any] = {
        "n_test": len(x),
        "metrics": scores(f, y, task),
        "train_metrics": scores(fitted, session.targets, task),
        "confusion": _confusion(f, y) if task == "classification" else None,
        "seconds": time.perf_counter() - start,
    }
    session.store.finish_stage("predictions", key, result, {"f": f})
    return result


def scores(f: Array, y: Array, task: str) -> dict[str, Any]:
    """Accuracy with a 95% Wilson interval for classes; RMSE and R² for regression."""
    mse = float(np.mean((f - y) ** 2))
    if task == "classification":
        right = int(np.sum(f.argmax(axis=1) == y.argmax(axis=1)))
        return {
            "accuracy": right / len(y),
            "accuracy_interval": _wilson(right, len(y)),
            "correct": right,
            "mse": mse,
        }
    spread = float(np.mean((y - y.mean(axis=0)) ** 2))
    return {"rmse": float(np.sqrt(mse)), "mse": mse, "r2": 1 - mse / spread if spread > 0 else None}


def _wilson(right: int, n: int, z: float = 1.959963984540054) -> list[float]:
    """95% interval of a proportion (Wilson 1927)."""
    p, z2 = right / n, z * z / n
    centre, half = (p + z2 / 2) / (1 + z2), z * np.sqrt(p * (1 - p) / n + z2 / (4 * n)) / (1 + z2)
    return [max(0.0, float(centre - half)), min(1.0, float(centre + half))]


def _confusion(f: Array, y: Array) -> list[list[int]]:
    k = y.shape[1]
    table = np.zeros((k, k), dtype=int)
    np.add.at(table, (y.argmax(axis=1), f.argmax(axis=1)), 1)
    return [[int(v) for v in row] for row in table]
