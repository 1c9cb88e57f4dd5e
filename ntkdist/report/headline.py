"""The few numbers a reader looks for first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ntkdist.report.plain import plain
from ntkdist.report.reading import Results, items, number, section
from ntkdist.report.sections.theory import error_text, statements, value_text
from ntkdist.report.value import format_ends, format_value

_WANTED = {
    "stable_step": "Largest stable step 2/λ_max",
    "time_to_reach": "Time to small loss",
    "norm_per_row": "‖f*‖²/n",
    "rademacher_bound": "Risk bound",
}


@dataclass(frozen=True)
class Number:
    """A headline: what it is, its value, its interval and grade."""

    name: str
    value: str
    error: str


def headline(results: Results) -> tuple[Number, ...]:
    """λ_min, λ_max, the best known statements and the held-out score, of those the run has."""
    spectrum = section(results, "spectrum")
    found = [
        _eigenvalue(name, section(spectrum, key)) for name, key in (("λ_min", "lambda_min"), ("λ_max", "lambda_max"))
    ]
    by_key = {str(s.get("key")): s for s in statements(results)}
    found += [
        Number(short, plain(value_text(by_key[key])), _error(by_key[key]))
        for key, short in _WANTED.items()
        if key in by_key
    ]
    found.append(_score(section(section(results, "predictions"), "metrics")))
    return tuple(item for item in found if item is not None)


def _eigenvalue(name: str, interval: Mapping[str, Any]) -> Number | None:
    if not interval:
        return None
    ends = [interval.get(key) for key in ("value", "lower", "upper")]
    grade = str(interval.get("grade") or "no certificate")
    return Number(
        name,
        format_value(*ends, ends=False),
        plain(", ".join(p for p in (format_ends(*ends[1:]), grade) if p)),
    )


def _score(metrics: Mapping[str, Any]) -> Number | None:
    accuracy, error = number(metrics.get("accuracy")), number(metrics.get("rmse"))
    if accuracy is not None:
        ends = [number(v) for v in items(metrics.get("accuracy_interval"))]
        told = "no interval"
        if len(ends) == 2 and ends[0] is not None and ends[1] is not None:
            told = f"[{100 * ends[0]:.2f}%, {100 * ends[1]:.2f}%], 95%"
        return Number("Held-out accuracy", f"{100 * accuracy:.2f}%", told)
    return None if error is None else Number("Held-out RMSE", f"{error:.4g}", "unit of the targets")


def _error(statement: Mapping[str, Any]) -> str:
    """Interval and grade; a bound on a risk also says whether it is vacuous."""
    note = str(statement.get("note") or "") if statement.get("key") == "rademacher_bound" else ""
    return plain("; ".join(part for part in (error_text(statement), note) if part))
