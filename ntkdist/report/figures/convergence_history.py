"""The convergence of the solver: largest relative residual of all outputs against passes over the matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ntkdist.report.figures.canvas import blank, defaults, dress
from ntkdist.report.figures.theme import LIGHT, Theme
from ntkdist.report.reading import Results, items, number, section, series


def draw(results: Results, theme: Theme = LIGHT) -> Figure | None:
    """Residual on a logarithmic axis, with the tolerance; None for fewer than two points (a direct solve)."""
    passes, residual = _history(results)
    if len(passes) < 2:
        return None
    tolerance = number(section(results, "solution").get("rtol"))
    with defaults():
        figure = blank()
        axes = figure.add_subplot()
        dress(axes, theme, x="passes over the Gram matrix", y="largest relative residual", grid="y")
        axes.set_yscale("log")
        axes.plot(passes, residual, color=theme.first, linewidth=1.8, marker="o", markersize=3)
        if tolerance is not None and tolerance > 0:
            axes.axhline(tolerance, color=theme.second, linestyle="--", linewidth=1.2)
            axes.annotate(
                f"tolerance {tolerance:.0e}",
                (0.0, tolerance),
                xycoords=("axes fraction", "data"),
                xytext=(4, 4),
                textcoords="offset points",
                ha="left",
                color=theme.second,
                fontsize=9,
            )
        axes.set_xlim(float(passes.min()), float(passes.max()) * 1.02)
        return figure


def caption(results: Results) -> str:
    """Method, number of outputs, and where it ended."""
    solution = section(results, "solution")
    residuals = series(solution.get("residual_norms"))
    worst = number(residuals.max()) if len(residuals) else None
    end = (
        ""
        if worst is None
        else (f" The residual recomputed in float64 from the finished weights is {worst:.2g} at most.")
    )
    converged = {True: "It converged.", False: "It did not converge."}.get(solution.get("converged") is True)
    return (
        f"Convergence of the solve for the weights ({solution.get('method') or 'method not recorded'}, "
        f"{len(residuals)} outputs at once): largest ‖r‖/‖y‖ of all outputs as the solver estimates it, "
        f"logarithmic, against passes over the Gram matrix. {converged}{end}"
    )


def data(results: Results) -> dict[str, list[Any]]:
    """Columns: passes, residual."""
    passes, residual = _history(results)
    return {"passes": passes.tolist(), "residual": residual.tolist()}


def _history(results: Results) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    pairs = [series(pair) for pair in items(section(results, "solution").get("history"))]
    kept = [p for p in pairs if len(p) == 2 and np.isfinite(p).all() and p[1] > 0]
    table = np.array(kept, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]
