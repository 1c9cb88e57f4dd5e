"""Numbers known between two ends, and functions of them that keep the ends on the right side.

The theory reads intervals (eigenvalues with certificates) and brackets (quadratic forms with
quadrature bounds) through their attributes only, so anything with ``value``, ``lower`` and ``upper``
will do. An end computed from another end is moved outward by a few units in the last place: each of
the formulas here is a handful of correctly rounded operations and one or two calls of log or sqrt.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import InputError

OUTWARD = 16 * 2.0**-53


class IntervalLike(Protocol):
    """An eigenvalue with its certificate: what ``ntkdist.linalg.Interval`` carries."""

    @property
    def value(self) -> float:
        """The best estimate."""
        ...

    @property
    def lower(self) -> float:
        """The lower end."""
        ...

    @property
    def upper(self) -> float:
        """The upper end."""
        ...

    @property
    def grade(self) -> str:
        """``residual``, ``probabilistic`` or ``rigorous``."""
        ...

    @property
    def reason(self) -> str:
        """Why the ends hold, in words."""
        ...


class BracketLike(Protocol):
    """A quadratic form per output between its bounds: what ``ntkdist.linalg.Bracket`` carries."""

    @property
    def lower(self) -> Any:
        """Lower bounds, a float or shape (k,)."""
        ...

    @property
    def upper(self) -> Any:
        """Upper bounds, a float or shape (k,)."""
        ...

    @property
    def value(self) -> Any:
        """Best values, a float or shape (k,)."""
        ...


def down(x: float) -> float:
    """``x`` moved towards minus infinity by a few units in the last place."""
    return x - abs(x) * OUTWARD - 5e-324


def up(x: float) -> float:
    """``x`` moved towards plus infinity by a few units in the last place."""
    return x + abs(x) * OUTWARD + 5e-324


def finite(x: float) -> float | None:
    """``x``, or None where it is infinite or NaN: statements say such things in words."""
    return float(x) if math.isfinite(x) else None


def bracket_ends(bracket: BracketLike) -> tuple[NDArray[np.float64], ...]:
    """``(lower, value, upper)`` of a bracket, each float64 of shape (k,).

    Raises InputError if an end is NaN or the ends are crossed. An infinite upper end is allowed: the
    labels then do not lie in the range of the kernel.
    """
    ends = tuple(np.atleast_1d(np.asarray(e, np.float64)) for e in (bracket.lower, bracket.value, bracket.upper))
    lower, value, upper = ends
    if not lower.shape == value.shape == upper.shape or lower.ndim != 1:
        raise InputError("a bracket's lower, value and upper must be numbers or vectors of one length per output")
    if any(bool(np.isnan(e).any()) for e in ends) or bool((lower > upper).any()):
        raise InputError("a bracket has NaN or crossed ends; recompute the quadratic form before asking theory")
    return ends
