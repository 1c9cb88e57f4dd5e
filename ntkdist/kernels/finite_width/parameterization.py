"""abc-parameterizations of a wide network and what the theorem says of each (Yang & Hu 2021, "Feature Learning
in Infinite-Width Neural Networks").

With L hidden layers of width m, weights are W^l = m^{−a_l} w^l with w^l ~ N(0, m^{−2b_l}) trained, l = 1 … L+1,
by steps of size η m^{−c}.  Put

    r = min(a_{L+1} + b_{L+1}, 2 a_{L+1} + c) + c − 1 + min_{l ≤ L} (2 a_l + [l = 1]).

The parameterization is *stable* (Thm 3.2) iff a_1 + b_1 = 0, a_l + b_l = ½ for 2 ≤ l ≤ L, a_{L+1} + b_{L+1} ≥ ½,
r ≥ 0, 2 a_{L+1} + c ≥ 1 and a_{L+1} + b_{L+1} + r ≥ 1; *non-trivial* iff also a_{L+1} + b_{L+1} + r = 1 or
2 a_{L+1} + c = 1 (Thm 3.3); and a stable non-trivial one learns features iff r = 0 and is a kernel regime iff
r > 0 (Thm 3.4).  In the kernel regime hidden activations move by O(m^{−r}).  a_l + θ, b_l − θ, c − 2θ is the same
network for every θ.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from ntkdist.errors import InputError

HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Classification:
    """What the theorem says: ``r``, and ``regime``: features, kernel, trivial or unstable.

    ``violated`` lists the conditions of stability that fail; empty for a stable parameterization.
    """

    r: Fraction
    stable: bool
    nontrivial: bool
    regime: str
    violated: tuple[str, ...]


@dataclass(frozen=True)
class Parameterization:
    """Exponents a and b of the layers 1 … L+1 and c of the step, exact fractions."""

    name: str
    a: tuple[Fraction, ...]
    b: tuple[Fraction, ...]
    c: Fraction

    def __post_init__(self) -> None:
        if len(self.a) != len(self.b) or len(self.a) < 2:
            raise InputError(
                f"parameterization {self.name!r}: a and b need one exponent per weight matrix, two or more"
            )

    @property
    def depth(self) -> int:
        """The number L of hidden layers."""
        return len(self.a) - 1

    @property
    def r(self) -> Fraction:
        """The exponent r of the theorem: hidden activations move by O(m^{−r})."""
        out = min(self.a[-1] + self.b[-1], 2 * self.a[-1] + self.c)
        hidden = min(2 * a + (1 if l == 0 else 0) for l, a in enumerate(self.a[:-1]))
        return out + self.c - 1 + hidden

    def classification(self) -> Classification:
        """Classify by Theorems 3.2 to 3.4."""
        top = self.a[-1] + self.b[-1]
        conditions = [
            (self.a[0] + self.b[0] == 0, "a_1 + b_1 = 0"),
            *((self.a[l] + self.b[l] == HALF, f"a_{l + 1} + b_{l + 1} = 1/2") for l in range(1, self.depth)),
            (top >= HALF, f"a_{self.depth + 1} + b_{self.depth + 1} ≥ 1/2"),
            (self.r >= 0, "r ≥ 0"),
            (2 * self.a[-1] + self.c >= 1, f"2 a_{self.depth + 1} + c ≥ 1"),
            (top + self.r >= 1, f"a_{self.depth + 1} + b_{self.depth + 1} + r ≥ 1"),
        ]
        violated = tuple(text for holds, text in conditions if not holds)
        stable = not violated
        nontrivial = stable and (top + self.r == 1 or 2 * self.a[-1] + self.c == 1)
        regime = "unstable" if not stable else "trivial" if not nontrivial else "features" if self.r == 0 else "kernel"
        return Classification(self.r, stable, nontrivial, regime, violated)

    def shifted(self, theta: Fraction) -> Parameterization:
        """The same network in other exponents: a + θ, b − θ, c − 2θ."""
        return Parameterization(
            f"{self.name}, shifted by {theta}",
            tuple(a + theta for a in self.a),
            tuple(b - theta for b in self.b),
            self.c - 2 * theta,
        )

    def spec(self) -> dict[str, Any]:
        """Plain JSON values; exponents as text, so that ½ stays ½."""
        return {"name": self.name, "a": [str(v) for v in self.a], "b": [str(v) for v in self.b], "c": str(self.c)}


def _ntk(depth: int) -> Parameterization:
    a = (Fraction(0), *[HALF] * depth)
    return Parameterization("ntk", a, (Fraction(0),) * (depth + 1), Fraction(0))


def _standard(depth: int) -> Parameterization:
    b = (Fraction(0), *[HALF] * depth)
    return Parameterization("standard", (Fraction(0),) * (depth + 1), b, Fraction(1))


def _mean_field(depth: int) -> Parameterization:
    a = (Fraction(0), *[HALF] * (depth - 1), Fraction(1))
    return Parameterization("mean-field", a, (Fraction(0),) * (depth + 1), Fraction(-1))


def _mup(depth: int) -> Parameterization:
    a = (-HALF, *[Fraction(0)] * (depth - 1), HALF)
    return Parameterization("mup", a, (HALF,) * (depth + 1), Fraction(0))


PRESETS: Mapping[str, Callable[[int], Parameterization]] = MappingProxyType(
    {"ntk": _ntk, "standard": _standard, "mean-field": _mean_field, "mup": _mup}
)
"""By name, for any depth.  ``standard`` steps by η/m (c = 1), which keeps it stable.  ``mean-field`` is the usual
one for one hidden layer; for more it keeps the hidden layers at a = ½, which makes it ``mup`` shifted by θ = ½."""


def parameterization(given: str | Mapping[str, Any] | Parameterization, depth: int) -> Parameterization:
    """Return a preset by name, or the one with the exponents ``{a: […], b: […], c: …}`` (numbers or text).

    Raises ``InputError`` for an unknown name, a wrong number of exponents, or what is not a number.
    """
    if isinstance(given, Parameterization):
        found = given
    elif isinstance(given, str):
        if given not in PRESETS:
            near = difflib.get_close_matches(given.lower(), PRESETS, n=2, cutoff=0.3) or sorted(PRESETS)
            raise InputError(f"parameterization {given!r} is not known; did you mean {' or '.join(near)}?")
        found = PRESETS[given](depth)
    else:
        try:
            a, b, c = (given[key] for key in ("a", "b", "c"))
            found = Parameterization(str(given.get("name") or "abc"), _exponents(a), _exponents(b), _exponent(c))
        except KeyError as error:
            raise InputError(f"a parameterization needs the exponents a, b and c; {error} is missing") from error
    if found.depth != depth:
        raise InputError(
            f"parameterization {found.name!r} has exponents of {found.depth} hidden layers, the network has {depth}"
        )
    return found


def _exponents(values: Sequence[Any]) -> tuple[Fraction, ...]:
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise InputError(f"exponents a and b are lists with one entry per weight matrix, not {values!r}")
    return tuple(_exponent(v) for v in values)


def _exponent(value: Any) -> Fraction:
    try:
        return Fraction(str(value)).limit_denominator(1000)
    except (ValueError, ZeroDivisionError):
        raise InputError(f"exponent {value!r} is not a number such as 0.5 or 1/2") from None
