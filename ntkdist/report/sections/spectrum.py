"""The ends of the spectrum as intervals, with the grade of the certificate and its reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ntkdist.report.quantity import count, duration
from ntkdist.report.reading import Results, items, number, section, series
from ntkdist.report.rows import Row, row
from ntkdist.report.value import format_ends, format_value, significant


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
    rows += _singular(section(spectrum, "singular"))
    rows += _whole(spectrum)
    rows.append(row("Passes over the matrix", count(spectrum.get("passes")), note=note))
    return tuple(rows)


def _singular(found: Mapping[str, Any]) -> list[Row]:
    """Equal rows, the rank, and λ_min without the repetitions."""
    if not found:
        return []
    groups = ["=".join(str(r) for r in group) for group in items(found.get("groups"))]
    many = number(found.get("group_count")) or 0
    more = f" and {count(many - len(groups))} more" if many > len(groups) else ""
    rank = number(found.get("rank"))
    return [
        row("Equal rows", f"{count(many)} groups", note=f"dataset rows {'; '.join(groups)}{more}"),
        row("Numerical rank", "not computed" if rank is None else count(rank), note=found.get("rank_reason") or ""),
        _eigenvalue("λ_min without repetitions", section(found, "lambda_min")),
    ]


def _whole(spectrum: Mapping[str, Any]) -> list[Row]:
    """Log-determinant, effective dimension and the energy of the targets in the leading directions."""
    rows = []
    logdet, dimension = section(spectrum, "logdet"), section(spectrum, "effective_dimension")
    if logdet:
        rows.append(_estimate("log det Θ", logdet.get("value"), logdet.get("error"), logdet.get("reason") or ""))
    ridges, values, errors = (items(dimension.get(key)) for key in ("ridges", "values", "errors"))
    chosen = sorted({0, len(ridges) // 2, len(ridges) - 1}) if ridges else []
    for k in chosen:
        name = f"Effective dimension at ridge {significant(float(ridges[k]), 3)}"
        rows.append(_estimate(name, values[k], errors[k], f"tr Θ(Θ + ridge·I)⁻¹; {dimension.get('how') or ''}"))
    share = series(spectrum.get("alignment"))
    if len(share):
        first = f"first direction {significant(100 * float(share[0]), 3)} %"
        note = f"share of ‖y‖² in the {len(share)} leading eigendirections; {first}"
        rows.append(row("Energy of the targets", f"{significant(100 * float(share.sum()), 3)} %", note=note))
    return rows


def _estimate(name: str, value: object, error: object, note: str) -> Row:
    found, spread = number(value), number(error)
    if found is None:
        return row(name, "not resolved", note=note)
    if not spread:
        return row(name, significant(found, 8), note=note)
    return row(
        name, format_value(found, found - spread, found + spread, ends=False), f"± {significant(spread, 2)}", note
    )


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
