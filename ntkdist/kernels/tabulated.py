"""From a piecewise table to an activation: its Hermite coefficients at every norm, and how wrong they are.

a_k(q) = E φ(√q z) h_k(z) by Gauss–Legendre on panels that end at the table's edges; the weight is shared as
e^{−z²/4} · [e^{−z²/4} h_k(z)], whose second factor stays below one for every k.  A row's series is complete when
what it leaves of E φ² and of q E φ′² (Parseval) is rounding; where it is not, the dual uses polar quadrature near
|ρ| = 1.  The error is measured three ways: Parseval, the same quadrature refined, and, where both methods serve,
one against the other.  Cost: some 10³ table reads and 10³ times ``terms`` multiplications per different norm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ntkdist.errors import InputError, Unresolvable
from ntkdist.kernels.activation import TABULATED, Activation
from ntkdist.kernels.duals.series import expansion
from ntkdist.kernels.duals.tabulated import look_up, polar
from ntkdist.kernels.piecewise import Function, Piecewise, evaluate

Floats = NDArray[np.float64]
TERMS = (128, 256, 512)
SPAN = 12.5
PANEL = 0.5
COMPLETE = 3e-14
NORMS = (0.25, 1.0, 4.0)


@njit(nogil=True, error_model="numpy", cache=True, fastmath={"reassoc", "contract"})
def project(share: Any, now: Any, before: Any, x: Any, up: Any, down: Any, out: Any) -> None:
    """Add Σ_j share_j h_n(x_j) to out[n] for every n, by the three-term recurrence on all nodes at once."""
    for n in range(out.size):
        total = 0.0
        for j in range(x.size):
            total += share[j] * now[j]
            after = x[j] * now[j] * up[n] - before[j] * down[n]
            before[j] = now[j]
            now[j] = after
        out[n] += total


@njit(nogil=True, error_model="numpy", cache=True)
def hermite_row(q: float, par: Any, k: int, panel: float, nodes: Any, weights: Any, out: Any) -> Any:
    """Write a_k(q) into ``out`` (terms,) and return E φ² and E φ′²."""
    edges = int(par[k + 1])
    first = k + 5
    root = np.sqrt(q)
    out[:] = 0.0
    square = 0.0
    bend = 0.0
    order = np.arange(out.size)
    up = 1.0 / np.sqrt(order + 1.0)
    down = np.sqrt(order / (order + 1.0))
    x = np.empty(nodes.size)
    shares = np.empty(nodes.size)
    now = np.empty(nodes.size)
    before = np.empty(nodes.size)
    z = -SPAN
    place = 0
    while z < SPAN:
        stop = min(z + panel, SPAN)
        while place < edges and par[first + place] <= z * root + 1e-14 * (1.0 + abs(z * root)):
            place += 1
        if root > 0.0 and place < edges and par[first + place] < stop * root:
            stop = par[first + place] / root
        for j in range(nodes.size):
            x[j] = z + (stop - z) * nodes[j]
            value, slope = look_up(root * x[j], par, k)
            now[j] = np.exp(-x[j] * x[j] / 4.0) / (2.0 * np.pi) ** 0.25
            before[j] = 0.0
            share = (stop - z) * weights[j] * now[j]
            square += share * now[j] * value * value
            bend += share * now[j] * slope * slope
            shares[j] = share * value
        project(shares, now, before, x, up, down, out)
        z = stop
    return square, bend


@dataclass(frozen=True)
class TabulatedCoefficients:
    """The map q (n,) → (n, 1 + terms): how many terms complete the series (0: none do), then a_k(q)."""

    text: str
    par: Floats
    terms: int
    reach: float
    tolerance: float
    has_slope: bool = True

    def __call__(self, q: Floats) -> Floats:
        """Return the coefficients; equal norms are computed once and have equal bits.

        Raises ``InputError`` where a row is longer than the table reaches and ``Unresolvable`` where the
        shortest, the middle or the longest row's quadrature misses the tolerance.
        """
        values, places = np.unique(q, return_inverse=True)
        if SPAN * float(values[-1]) ** 0.5 > self.reach:
            raise InputError(
                f"activation {self.text!r} is tabulated for |x| ≤ {self.reach:g}, too little for rows of squared length"
                f" {values[-1]:.4g}: scale the inputs down (input_scaling '1/d' or 'unit')"
            )
        table = np.array([self.row(float(value)) for value in values])
        for i in sorted({0, values.size // 2, values.size - 1}):
            missed = self.error(float(values[i]), table[i])
            if missed > self.tolerance:
                raise Unresolvable(
                    f"activation {self.text!r} at squared length {values[i]:.4g} reaches an error of {missed:.1g}, not"
                    f" the tolerance {self.tolerance:g}: raise tolerance, or scale the inputs down"
                )
        return np.asarray(table[places])

    def row(self, q: float, panel: float = PANEL) -> Floats:
        """Return one row of the table."""
        out = np.empty(1 + self.terms)
        square, bend = hermite_row(q, self.par, 0, panel, *_GAUSS, out[1:])
        room = COMPLETE * max(square, q * bend)
        parts = [(square, out[1:] ** 2)]
        if self.has_slope:
            parts.append((q * bend, np.arange(self.terms) * out[1:] ** 2))
        out[0] = 1.0
        for whole, part in parts:
            tails = np.append(np.cumsum(part[::-1])[::-1], 0.0)
            if abs(whole - tails[0]) > room:
                out[0] = 0.0
                break
            out[0] = max(out[0], float(np.argmax(tails <= room / 8)))
        return out

    def error(self, q: float, row: Floats) -> float:
        """Return the measured error of F and q Ḟ at this norm, relative to their diagonal values."""
        fine = np.empty(self.terms)
        square, bend = hermite_row(q, self.par, 0, PANEL / 2, *_GAUSS, fine)
        scale = max(square, q * bend if self.has_slope else 0.0)
        if scale == 0.0:
            return 0.0
        weight = np.arange(self.terms) + 1.0 if self.has_slope else np.ones(self.terms)
        missed = float(np.sum(weight * np.abs(fine**2 - row[1:] ** 2)) / scale)
        if row[0] > 0 or q == 0:
            return missed
        # Where the series ends, polar quadrature has to agree with it; at ρ = 1 with the norms.
        limit = float(self.par[3])
        for rho, turned in ((limit, 1.0), (limit, -1.0), (1.0, 1.0)):
            near = 2 * q * (1 - rho)
            f, slope, _, _ = polar(q, q, 2 * np.arcsin(np.sqrt(near / (4 * q))), turned, self.par, 0)
            if rho < 1:
                pair = (near, 4 * q - near) if turned > 0 else (4 * q - near, near)
                want, want_slope, _, _ = expansion(q, q, *pair, self.terms, row, row, 1)
            else:
                want, want_slope = square, bend
            missed = max(missed, abs(f - want) / scale)
            if self.has_slope:
                missed = max(missed, q * abs(slope - want_slope) / scale)
        return missed


def _gauss(count: int) -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return (nodes + 1) / 2, weights / 2


_GAUSS = _gauss(16)


def tabulated_activation(
    text: str, function: Function, table: Piecewise, tolerance: float, degree: float | None = None
) -> Activation:
    """Return φ as an activation, its measured error in ``error``; refuse if that misses ``tolerance``.

    Raises ``Unresolvable`` naming the error reached.
    """
    nodes, weights = _gauss(10)
    has_slope = table.jumps.size == 0
    for terms in TERMS:
        par = np.concatenate(
            [
                [terms, table.edges.size, table.kinks.size, np.exp(np.log(1e-15) / terms), _scale(table)],
                table.edges,
                table.kinks,
                table.values.ravel(),
                table.slopes.ravel(),
                nodes,
                weights,
            ]
        )
        rule = TabulatedCoefficients(text, par, terms, float(table.edges[-1]), tolerance, has_slope)
        norms = [q for q in NORMS if SPAN * q**0.5 <= rule.reach]
        rows = [rule.row(q) for q in norms]
        if all(row[0] > 0 for row in rows):
            break
    missed = max(rule.error(q, row) for q, row in zip(norms, rows, strict=True))
    missed = max(missed, _table_error(text, function, par))
    if missed > tolerance:
        raise Unresolvable(
            f"activation {text!r} reaches an error of {missed:.1g}, not the tolerance {tolerance:g}: raise tolerance"
        )
    return Activation(
        text, TABULATED, tuple(par.tolist()), degree=degree, has_ntk=has_slope, terms=1 + terms, coefficients=rule,
        error=missed,
    )  # fmt: skip


def _scale(table: Piecewise) -> float:
    """Return the length on which φ varies: its narrowest piece or its kink nearest to zero, at most 1."""
    away = np.abs(table.kinks[table.kinks != 0])
    return float(min([1.0, 2 * np.min(np.diff(table.edges)), *away]))


def _table_error(text: str, function: Function, par: Floats) -> float:
    """Return √(E (table − φ)²/E φ²) at unit norm over a fixed set of inputs between the table's own points."""
    z = np.linspace(-8.0, 8.0, 1999) + 1e-4 * np.sqrt(2)
    density = np.exp(-z * z / 2)
    exact = evaluate(function, z, text)
    got = np.array([look_up(float(x), par, 0)[0] for x in z])
    top = float(np.sum(density * exact**2))
    if top == 0.0:
        raise InputError(f"activation {text!r} is zero everywhere")
    return float(np.sqrt(np.sum(density * (got - exact) ** 2) / top))
