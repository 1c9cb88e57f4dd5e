"""The ends of the spectrum as intervals, with the grade of the certificate and its reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ntkdist.report.quantity import count, duration
from ntkdist.report.reading import Results, number, section
from ntkdist.report.rows import Row, row
from ntkdist.report.value import format_ends, format_value


def spectrum_rows(results: Results) -> tuple[Row, ...]:
    """λ_min and λ_max with interval, grade and reason; condition number; passes."""
    spectrum = section(results, "spectrum")
    if not spectrum:
        return ()
    low, high = section(spectrum, "lambda_min"), section(spectrum, "lambda_max")
    rows = [_eigenvalue("λ_min", low), _eigenvalue("λ_max", high)]
    bottom, top = number(low.get("value")), number(high.get("value"))
    if section(results, "theory").get("statements") is None and bottom and top is not None:
        lower, upper = _quotient(high, low)
        shown = format_value(top / bottom, lower, upper, ends=False)
        rows.append(row("λ_max/λ_min", shown, format_ends(lower, upper)))
    note = ", ".join(
        part
        for part in (
            str(spectrum["precision"]) if spectrum.get("precision") else "",
            duration(spectrum["seconds"]) if number(spectrum.get("seconds")) is not None else "",
        )
        if part
    )
    rows.append(row("Passes over the matrix", count(spectrum.get("passes")), note=note))
    return tuple(rows)


def _eigenvalue(name: str, interval: Mapping[str, Any]) -> Row:
    ends = [interval.get(key) for key in ("value", "lower", "upper")]
    grade = str(interval.get("grade") or "no certificate")
    error = ", ".join(part for part in (format_ends(*ends[1:]), grade) if part)
    return row(name, format_value(*ends, ends=False), error, interval.get("reason") or "")


def _quotient(high: Mapping[str, Any], low: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """The ends of λ_max/λ_min; None where λ_min is not separated from zero."""
    a, b = number(low.get("lower")), number(low.get("upper"))
    c, d = number(high.get("lower")), number(high.get("upper"))
    lower = None if b is None or c is None or b <= 0 else c / b
    upper = None if a is None or d is None or a <= 0 else d / a
    return lower, upper
