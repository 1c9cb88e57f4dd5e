"""Stage 6, predictions f(x*) = Θ(x*, X) α on held-out rows, streamed block by block."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.pipeline.bayes import Bayes, side_by_side
from ntkdist.pipeline.cross import cross_product
from ntkdist.pipeline.cross_blocks import stored_product
from ntkdist.pipeline.progress import Progress, Silent
from ntkdist.pipeline.second_kernel import affordable, has_prior
from ntkdist.pipeline.session import Session

Array = NDArray[Any]


def predict_rows(session: Session, x: Array, progress: Progress | None = None) -> Array:
    """f(x) for rows already prepared like the training rows, (m, k) float64."""
    progress = progress or Silent()
    weights = session.store.stage_array("solution", "weights")
    progress.start("predict", len(x) * session.tiling.bands, "blocks of rows")
    out = cross_product(session, x, weights, tell=progress.update)
    progress.finish()
    return out


def compute_predictions(session: Session, progress: Progress | None = None) -> dict[str, Any] | None:
    """Predict the held-out rows and score them; None when no row is held out."""
    solution, inputs = session.store.stage("solution"), session.store.stage("inputs")
    assert solution is not None
    assert inputs is not None
    if inputs.result["n_test"] == 0:
        return None
    settings = session.config.predict
    key = session.key("predictions", solution.key, settings.model_dump())
    finished = session.store.stage("predictions", key)
    if finished is not None:
        return finished.result
    start = time.perf_counter()
    x, y = session.store.read_array("inputs/x_test"), session.store.stage_array("inputs", "y_test")
    if session.config.predict.store:
        f = stored_product(session.store, session.kernel, session.store.stage_array("solution", "weights"))
    else:
        f = predict_rows(session, x, progress)
    ridge = float(solution.result["ridge"])
    fitted = session.targets - ridge * session.store.stage_array("solution", "weights")
    task = inputs.result["task"]
    result: dict[str, Any] = {
        "n_test": len(x),
        "metrics": scores(f, y, task),
        "train_metrics": scores(fitted, session.targets, task),
        "confusion": _confusion(f, y) if task == "classification" else None,
    }
    bayes = Bayes({"note": "the NNGP was not computed at this size (predict.nngp: true computes it)"}, {})
    if not has_prior(session):
        bayes = Bayes({"note": "this kernel has no NNGP beside it"}, {})
    elif affordable(session, settings.nngp):
        bayes = side_by_side(session, x, y, f, ridge, task)
    if "f_nngp" in bayes.arrays:
        result["nngp_metrics"] = scores(bayes.arrays["f_nngp"], y, task)
    result |= {"side_by_side": bayes.section, "seconds": time.perf_counter() - start}
    session.store.finish_stage("predictions", key, result, {"f": f, **bayes.arrays})
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
