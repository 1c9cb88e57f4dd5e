"""Targets as the solver sees them: real columns for regression, centred one-hot columns for classes.

A class target is one-hot minus 1/k, so that f = 0 (the start of training) is the undecided answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import InputError

_MOST_CLASSES = 1000


@dataclass(frozen=True)
class Targets:
    """``values`` (n, k) float64; for classes also their names and each row's class number ``labels``."""

    values: NDArray[np.float64]
    task: str
    encoding: str
    classes: NDArray[Any] | None = None
    labels: NDArray[np.intp] | None = None

    def decode(self, predictions: NDArray[Any]) -> NDArray[Any]:
        """Class names of the largest output per row; regression outputs as they are."""
        return predictions if self.classes is None else self.classes[predictions.argmax(axis=1)]


def encode_targets(y: NDArray[Any], task: str = "auto") -> Targets:
    """Encode y (n,) or (n, k).

    ``auto`` takes whole numbers, booleans and strings with at most max(20, √n) distinct values for classes, and
    everything else for regression.

    Raises :class:`InputError` for a single class, or strings where numbers are needed.
    """
    if task not in ("auto", "regression", "classification"):
        raise InputError(f"Unknown task {task!r}; choose auto, regression or classification.")
    column = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if task == "auto":
        discrete = column.ndim == 1 and column.dtype.kind in "iubUS"
        few = discrete and len(np.unique(column)) <= max(20, len(column) ** 0.5)
        task = "classification" if few or column.dtype.kind in "US" else "regression"
    if task == "regression":
        if y.dtype.kind not in "fiub":
            raise InputError(f"y has dtype {y.dtype}, but regression needs numbers; set data.task=classification.")
        values = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        return Targets(values, task, "as given")
    if column.ndim != 1:
        raise InputError(f"y has shape {y.shape}, but classification needs one class per row.")
    if column.dtype.kind == "f" and np.any(column != np.round(column)):
        raise InputError("y holds fractions, but classes are whole numbers or names; set data.task=regression.")
    classes, labels = np.unique(column, return_inverse=True)
    if len(classes) < 2:
        raise InputError(f"y holds the single class {classes[0]!s}; classification needs two or more.")
    if len(classes) > _MOST_CLASSES:
        raise InputError(f"y holds {len(classes)} distinct values; set data.task=regression if they are numbers.")
    values = np.full((len(column), len(classes)), -1.0 / len(classes))
    values[np.arange(len(column)), labels] += 1.0
    return Targets(values, task, "one-hot minus 1/k", classes, labels)
