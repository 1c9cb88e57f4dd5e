"""A function of one variable as a piecewise Chebyshev table, with its kinks found where bisection does not end.

Compiled code cannot call a user's Python function for every entry, but it can read a table that agrees with it
to rounding.  Each piece is a Chebyshev interpolant of 16 coefficients; a piece that is not resolved is halved
(Pachón, Platte & Trefethen 2010, “Piecewise-smooth chebfuns”).  Around a kink the halving runs down to the
rounding of x itself, which places the kink; the table is then built again with a breakpoint there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import InputError, Unresolvable

Floats = NDArray[np.float64]
Function = Callable[[Floats], Any]
POINTS = 16
# The relative error accepted of an activation without a closed form, unless a kernel asks for another.
TOLERANCE = 1e-11
REACH = 1024.0
LEAST_REACH = 32.0
MOST_PIECES = 500
NARROW = 1e-4
MOST_KINKS = 16
ROUNDING = 2e-15


@dataclass(frozen=True)
class Piecewise:
    """``edges`` (B,) ascending; ``values`` and ``slopes`` (B − 1, 16) are Chebyshev coefficients of φ and φ′.

    ``kinks`` are the edges where φ or a derivative jumps, ``jumps`` those where φ itself does.
    """

    edges: Floats
    values: Floats
    slopes: Floats
    kinks: Floats
    jumps: Floats


def _transform() -> tuple[Floats, Floats]:
    """Return the Chebyshev points of the first kind (they leave out the ends) and values → coefficients."""
    angle = np.pi * (np.arange(POINTS) + 0.5) / POINTS
    matrix = 2.0 / POINTS * np.cos(np.outer(np.arange(POINTS), angle))
    matrix[0] /= 2
    return np.cos(angle), matrix


_NODES, _MATRIX = _transform()
_PROBES = np.array([-0.97, -0.61, -0.13, 0.29, 0.83])


def evaluate(function: Function, x: Floats, text: str) -> Floats:
    """Return the function at ``x`` as finite float64 of the same shape, or raise ``InputError``."""
    try:
        with np.errstate(all="ignore"):
            values = np.asarray(function(x), dtype=np.float64)
    except Exception as error:
        raise InputError(f"activation {text!r} failed on an array of floats: {error}") from error
    if values.shape != x.shape:
        raise InputError(f"activation {text!r} must return one number for each of its {x.size} inputs")
    return values


def reach_of(function: Function, text: str) -> float:
    """Return the largest power of two up to 1024 within which the function is finite; refuse below 32."""
    reach = REACH
    grid = np.linspace(-1.0, 1.0, 4097)
    while reach >= LEAST_REACH:
        values = evaluate(function, grid * reach, text)
        if np.all(np.isfinite(values)):
            return reach
        bad = float(grid[int(np.argmin(np.isfinite(values)))] * reach)
        reach /= 2
    raise InputError(f"activation {text!r} must be finite for every input from −32 to 32; it is not at x = {bad:.6g}")


def piecewise(
    function: Function, text: str, derivative: Function | None = None, kinks: Iterable[float] = ()
) -> Piecewise:
    """Return the table of a vectorised ``function``.

    ``derivative`` gives φ′ exactly (otherwise the pieces are differentiated), ``kinks`` where φ is known not to
    be smooth.  Raises ``InputError`` for NaN or a wrong shape, ``Unresolvable`` for a function that is not
    smooth between finitely many kinks.
    """
    reach = reach_of(function, text)
    known = {float(t) for t in kinks}
    while True:
        declared = {t for t in known if abs(t) < reach}
        powers = 2.0 ** np.arange(0, np.log2(reach) + 1)
        start = sorted({0.0, *powers, *(-powers), *declared})
        try:
            edges = _subdivide(function, start, text)
            break
        except Unresolvable:
            # What oscillates far out may still be tabulated as far as the rows need it.
            if reach <= LEAST_REACH:
                raise
            reach /= 2
    found = _narrow(edges)
    if found:
        edges = _subdivide(function, sorted({*start, *found}), text)
        again = _narrow(edges)
        if again:
            raise Unresolvable(
                f"activation {text!r} is not smooth on either side of x = {again[0]:.6g} (a singularity or noise),"
                " which a kink declared in its attribute kinks would have to be"
            )
    values = np.array([_coefficients(function, a, b, text) for a, b in pairwise(edges)])
    half = np.diff(edges)[:, None] / 2
    if derivative is None:
        slopes = np.array([_derived(row) for row in values]) / half
    else:
        slopes = np.array([_coefficients(derivative, a, b, text) for a, b in pairwise(edges)])
    inner = edges[1:-1]
    rough = [float(t) for i, t in enumerate(inner) if t in declared or not _smooth(function, edges, i + 1, text)]
    signs = (-1.0) ** np.arange(POINTS)
    scale = np.max(np.abs(values[:, 0]))
    leap = {float(t): abs(float(values[i].sum() - values[i + 1] @ signs)) for i, t in enumerate(inner)}
    if len(rough) > MOST_KINKS:
        raise Unresolvable(
            f"activation {text!r} has {len(rough)} kinks or jumps between x = {edges[0]:g} and {edges[-1]:g};"
            f" at most {MOST_KINKS} can be integrated exactly"
        )
    jumps = [t for t in rough if leap[t] > 1e-9 * min(scale, 1.0)]
    return Piecewise(np.array(edges), values, slopes, np.array(rough), np.array(jumps))


def _coefficients(function: Function, a: float, b: float, text: str) -> Floats:
    values = evaluate(function, (a + b) / 2 + (b - a) / 2 * _NODES, text)
    if not np.all(np.isfinite(values)):
        raise InputError(f"activation {text!r} is not finite somewhere between x = {a:.6g} and {b:.6g}")
    # Stacked additions, not a matrix product: BLAS would round by its thread count.
    return np.asarray((_MATRIX * values).sum(axis=1))


def _resolved(function: Function, a: float, b: float, text: str, slack: float = 1.0) -> bool:
    row = _coefficients(function, a, b, text)
    size = np.abs(row)
    # The function's own rounding, and what the rounding of x makes of its slope, are no lack of resolution.
    slope = float(size[1] + size[2]) * 2 / (b - a)
    room = ROUNDING * max(float(np.max(size)), 1e-3) + 4e-16 * max(abs(a), abs(b)) * slope
    if np.max(size[-3:]) > slack * room:
        return False
    x = (a + b) / 2 + (b - a) / 2 * _PROBES
    misses = np.abs(evaluate(function, x, text) - np.polynomial.chebyshev.chebval(_PROBES, row))
    return bool(np.max(misses) <= 4 * slack * room)


def _subdivide(function: Function, start: list[float], text: str) -> list[float]:
    edges = [start[0]]
    todo = list(pairwise(start))[::-1]
    while todo:
        a, b = todo.pop()
        if b - a <= 8e-16 * max(1.0, abs(a), abs(b)) or _resolved(function, a, b, text):
            edges.append(b)
        else:
            middle = (a + b) / 2
            todo += [(middle, b), (a, middle)]
        if len(edges) + len(todo) > MOST_PIECES:
            raise Unresolvable(
                f"activation {text!r} needs more than {MOST_PIECES} polynomial pieces between x = {start[0]:g} and"
                f" {start[-1]:g} (the first unresolved one starts at {a:.6g}); it oscillates, or has too many kinks"
            )
    return edges


def _narrow(edges: list[float]) -> list[float]:
    """Return one place for each cluster of pieces that are too narrow to be anything but the way to a kink."""
    found: list[tuple[float, float]] = []
    for a, b in pairwise(edges):
        if b - a > NARROW * max(1.0, abs(a)):
            continue
        middle = (a + b) / 2
        if found and abs(middle - found[-1][1]) < 1e-3 * max(1.0, abs(middle)):
            found[-1] = min(found[-1], (b - a, middle))
        else:
            found.append((b - a, middle))
    nice = [float(np.round(t, 10)) for _, t in found]
    return [r if abs(r - t) < 1e-13 * max(1.0, abs(t)) else t for r, (_, t) in zip(nice, found, strict=True)]


def _derived(row: Floats) -> Floats:
    return np.append(np.polynomial.chebyshev.chebder(row), 0.0)


def _smooth(function: Function, edges: list[float], i: int, text: str) -> bool:
    """Whether φ continues smoothly across edges[i]."""
    reach = min(edges[i] - edges[i - 1], edges[i + 1] - edges[i]) / 2
    return _resolved(function, edges[i] - reach, edges[i] + reach, text, slack=30.0)
