"""Functions a user might name in a configuration as ``activations_of_a_user:NAME``."""

from __future__ import annotations

import math

import numpy as np


def shifted_ramp(x):
    """Has a kink apart from zero, to be found."""
    return np.maximum(x - 0.3, 0.0) + 0.1 * x


def declared_ramp(x):
    return np.maximum(x - 0.3, 0.0) + 0.1 * x


declared_ramp.kinks = (0.3,)
declared_ramp.derivative = lambda x: (x > 0.3) + 0.1


def my_relu(x):
    return np.maximum(x, 0.0)


my_relu.degree = 1


def curved_kink(x):
    """φ and φ′ are continuous at π/2, φ″ is not."""
    return np.where(x > np.pi / 2, (x - np.pi / 2) ** 2, 0.0) + np.tanh(x)


def step(x):
    return np.where(x > 0.5, 1.0, 0.0) + 0.0 * x


def not_homogeneous(x):
    return np.tanh(x)


not_homogeneous.degree = 1


def wrong_kinks(x):
    return x


wrong_kinks.kinks = "zero"


def infinite_kinks(x):
    return x


infinite_kinks.kinks = (math.inf,)


def wrong_degree(x):
    return x


wrong_degree.degree = "one"


def nan_above_twenty_one(x):
    return np.where(x > 21.0, np.nan, np.tanh(x))


def nan_in_the_middle(x):
    return np.where(np.abs(x - 0.7) < 0.05, np.nan, np.tanh(x))


def sum_of_all(x):
    return np.sum(x)


def zero(x):
    return 0.0 * x


def noise(x):
    return np.sin(1e9 * x * x)


def root(x):
    return np.sqrt(np.abs(x))


def staircase(x):
    return np.floor(4 * x)


NOT_A_FUNCTION = 3.0
