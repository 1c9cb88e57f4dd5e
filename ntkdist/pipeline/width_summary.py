"""What a width study says: exponents with confidence intervals and bands, and the table by width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ntkdist.errors import InputError
from ntkdist.kernels.finite_width import Parameterization
from ntkdist.theory.power_law import fit_power_law

Row = dict[str, Any]
BAND_POINTS = 24


def _initial(name: str) -> Callable[[Row], float | None]:
    return lambda row: row["initial"][name]


def _trained(name: str) -> Callable[[Row], float | None]:
    return lambda row: None if row["trained"] is None else row["trained"][name]


QUANTITIES: dict[str, tuple[str, Callable[[Row], float | None], Callable[[Parameterization], float | None]]] = {
    "kernel_distance": ("‖Θ_m − Θ_∞‖/‖Θ_∞‖ at initialisation", _initial("kernel_distance"), lambda p: -0.5),
    "raw": ("‖w(T) − w(0)‖, raw parameters", _trained("raw"), lambda p: 0.0 if p.name == "ntk" else None),
    "relative": ("‖w(T) − w(0)‖/‖w(0)‖", _trained("relative"), lambda p: None),
    "effective": ("‖W(T) − W(0)‖, effective weights", _trained("effective"), lambda p: -float(p.r)),
    "drift": ("‖Θ(T) − Θ(0)‖/‖Θ(0)‖", _trained("drift"), lambda p: None),
    "representation": ("change of the last hidden layer", _trained("representation"), lambda p: -float(p.r)),
    "linear_distance": ("distance to the linearised prediction", _trained("linear_distance"), lambda p: None),
    "raw_step": ("largest stable step η m^−c", _initial("raw_step"), lambda p: -float(p.c)),
}
"""Name → (what it is, where it stands in a task's result, the exponent the theory gives or None)."""


def summarise(results: Sequence[Row], kinds: Sequence[Parameterization]) -> dict[str, Any]:
    """Fits per parameterization, rows per width, and the checks of the step."""
    studies = [_study(abc, [r for r in results if r["parameterization"] == abc.name]) for abc in kinds]
    return {"studies": studies}


def _study(abc: Parameterization, results: list[Row]) -> dict[str, Any]:
    found = abc.classification()
    networks = [r for r in results if r["kind"] != "step"]
    fits = {name: fit for name in QUANTITIES if (fit := _fit(name, networks, abc)) is not None}
    checks = sorted((r for r in results if r["kind"] == "step"), key=lambda r: r["factor"])
    return {
        "name": abc.name,
        "exponents": abc.spec(),
        "r": float(found.r),
        "regime": found.regime,
        "violated": list(found.violated),
        "fits": fits,
        "agreement": _agreement(found.regime, fits),
        "widths": [_by_width(m, [r for r in networks if r["width"] == m]) for m in _widths(networks)],
        "points": [_point(r) for r in networks],
        "step_checks": checks,
    }


def _widths(networks: list[Row]) -> list[int]:
    return sorted({r["width"] for r in networks})


def _fit(name: str, networks: list[Row], abc: Parameterization) -> dict[str, Any] | None:
    text, read, expected = QUANTITIES[name]
    pairs = [(r["width"], v) for r in networks if (v := read(r)) is not None and v > 0]
    try:
        law = fit_power_law([m for m, _ in pairs], [v for _, v in pairs])
    except InputError:
        return None
    grid = np.geomspace(min(m for m, _ in pairs), max(m for m, _ in pairs), BAND_POINTS)
    low, high = law.band(grid)
    return {
        "what": text,
        "exponent": law.exponent,
        "lower": law.lower,
        "upper": law.upper,
        "confidence": law.confidence,
        "points": law.points,
        "residual_spread": law.residual_spread,
        "expected": expected(abc),
        "band": {
            "width": [float(v) for v in grid],
            "line": [float(v) for v in law(grid)],
            "lower": [float(v) for v in low],
            "upper": [float(v) for v in high],
        },
    }


def _agreement(regime: str, fits: dict[str, Any]) -> str:
    """Whether the measured drift and representation do what the regime says, in words."""
    moved = [fits[name] for name in ("drift", "representation") if name in fits]
    if not moved or regime not in ("kernel", "features"):
        return f"the classification is {regime}; nothing is compared"
    vanish = [fit["upper"] < -0.25 for fit in moved]
    stay = [fit["lower"] > -0.25 for fit in moved]
    if regime == "kernel":
        return "agrees: both vanish with width" if all(vanish) else "not confirmed: a change does not clearly vanish"
    return "agrees: neither vanishes with width" if all(stay) else "not confirmed: a change seems to vanish"


def _by_width(width: int, rows: list[Row]) -> dict[str, Any]:
    line: dict[str, Any] = {"width": width, "seeds": len(rows)}
    for name, (_, read, _) in QUANTITIES.items():
        line[name] = _spread([read(r) for r in rows])
    line["lambda_min"] = _spread([r["initial"]["lambda_min"] for r in rows])
    line["stable_step"] = _spread([r["initial"]["stable_step"] for r in rows])
    line["alignment"] = _spread([r["initial"]["alignment"] for r in rows])
    for name in ("loss", "test_loss", "accuracy", "test_accuracy", "steps_to_epsilon"):
        line[name] = _spread([_trained(name)(r) for r in rows])
    line["alignment_after"] = _spread([_trained("alignment")(r) for r in rows])
    line["diverged"] = sum(_trained("stopped")(r) == "diverged" for r in rows)  # type: ignore[comparison-overlap]
    return line


def _spread(values: Sequence[float | None]) -> dict[str, Any] | None:
    """Mean and ends over seeds; None if a seed has no value."""
    known = [float(v) for v in values if v is not None]
    if not known or len(known) < len(values):
        return None
    return {"mean": float(np.mean(known)), "min": min(known), "max": max(known)}


def _point(row: Row) -> dict[str, Any]:
    found = {"width": row["width"], "seed": row["seed"], "kind": row["kind"], "seconds": row["seconds"]}
    return found | {name: read(row) for name, (_, read, _) in QUANTITIES.items()}
