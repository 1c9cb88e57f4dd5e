"""An activation of a user's own, with and without its derivative."""

from __future__ import annotations

import numpy as np


def softplus(x):
    return np.logaddexp(0.0, x)


softplus.derivative = lambda x: 1 / (1 + np.exp(-x))  # type: ignore[attr-defined]


def bare(x):
    return np.tanh(x)
