"""How it was computed: the Gram matrix and the solve, with the errors they carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ntkdist.report.quantity import count, duration, rate, size
from ntkdist.report.reading import Results, finished_tiles, items, number, section, series
from ntkdist.report.rows import Row, row
from ntkdist.report.value import significant


def gram_rows(results: Results) -> tuple[Row, ...]:
    """Size, tiles, precision, mode, speed, and the error the entries and the norm carry."""
    gram = section(results, "gram")
    if not gram:
        return ()
    n, tiles, done = gram.get("n"), count(gram.get("tiles")), finished_tiles(results)
    of = f"{count(done)} of {tiles}" if done is not None else tiles
    reused = number(gram.get("reused_tiles"))
    rows = [
        row("Size", f"{count(n)} × {count(n)}", note=f"{size(gram.get('bytes'))}, lower triangle only"),
        row(
            "Tiles",
            f"{of}, {count(gram.get('tile'))} rows each",
            note=f"{count(reused)} reused from an earlier run" if reused else "",
        ),
        row(
            "Precision",
            f"{gram.get('compute', 'not recorded')} computed, {gram.get('storage', 'not recorded')} stored",
            _relative(gram.get("entry_error")),
            "largest relative error of an entry" if number(gram.get("entry_error")) is not None else "",
        ),
    ]
    norm = number(gram.get("error_norm"))
    if norm is not None:
        rows.append(
            row(
                "Error of the matrix",
                f"‖ΔΘ‖₂ ≤ {significant(norm, 3)}",
                note="added to the interval of every eigenvalue",
            )
        )
    if number(gram.get("trace")) is not None:
        rows.append(row("Trace", significant(float(gram["trace"]), 8), _relative(gram.get("entry_error"))))
    if gram.get("mode"):
        rows.append(row("Mode", gram["mode"], note=gram.get("mode_reason") or ""))
    seconds = gram.get("seconds", gram.get("tile_seconds"))
    if number(seconds) is not None:
        speed = rate(gram.get("entries_per_second"), "entries")
        rows.append(row("Time", duration(seconds), note="" if speed == "not recorded" else speed))
    return tuple(rows)


def solution_rows(results: Results) -> tuple[Row, ...]:
    """Method, ridge, residual as recomputed in float64, passes, convergence."""
    solution = section(results, "solution")
    if not solution:
        return ()
    residuals = series(solution.get("residual_norms"))
    worst = number(residuals.max()) if len(residuals) else None
    asked, converged = number(solution.get("rtol")), solution.get("converged")
    verdict = "converged" if converged is True else "NOT converged" if converged is False else "unknown"
    ridge = number(solution.get("ridge"))
    rows = [
        row("Method", solution.get("method", "not recorded"), note=solution.get("why") or ""),
        row(
            "Ridge",
            significant(ridge, 6) if ridge is not None else "not recorded",
            note=f"added to the diagonal, {solution.get('ridge_how') or 'as configured'}",
        ),
        row(
            "Residual",
            "unresolved" if worst is None else significant(worst, 3),
            "" if asked is None else f"asked ≤ {significant(asked, 3)}",
            f"largest ‖(Θ + ridge·I)α − y‖/‖y‖ of {len(residuals)} outputs, on the "
            f"{solution.get('residual_of', 'stored')} matrix, in float64",
        ),
        row("Convergence", verdict, note=solution.get("reason") or ""),
        row("Passes over the matrix", count(solution.get("passes")), note=_spent(solution)),
    ]
    used = section(solution, "preconditioner")
    if used:
        shape = f"{used.get('form', 'not recorded')}, rank {count(used.get('rank'))}"
        rows.insert(1, row("Preconditioner", shape, note=used.get("reason") or ""))
    for entry in items(solution.get("path")):
        rows.append(
            row(
                f"Ridge {significant(float(entry['ridge']), 4)}",
                f"training MSE {significant(float(entry['train_mse']), 4)}",
                f"residual {significant(float(entry['residual_norm']), 2)}",
                f"{count(entry.get('passes'))} passes; {entry.get('how', '')}",
            )
        )
    return tuple(rows)


def _relative(error: object) -> str:
    found = number(error)
    return "" if found is None else f"± {significant(found, 2)} relative"


def _spent(solution: Mapping[str, Any]) -> str:
    """Seconds, and where the iteration began if that was not zero."""
    start = solution.get("start") or "zero"
    return ", ".join(p for p in (_time(solution.get("seconds")), "" if start == "zero" else f"from {start}") if p)


def _time(seconds: object) -> str:
    return "" if number(seconds) is None else duration(seconds)
