"""Leave-one-out error and generalised cross-validation against the ridge, from the training rows alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ntkdist.report.figures.canvas import blank, defaults, dress, legend
from ntkdist.report.figures.theme import LIGHT, Theme
from ntkdist.report.reading import Results, number, section, series


def draw(results: Results, theme: Theme = LIGHT) -> Figure | None:
    """Both scores on logarithmic axes with the run's own ridge; None without two positive ridges."""
    columns = _columns(results)
    positive = columns["ridge"] > 0 if columns else np.zeros(0, bool)
    if positive.sum() < 2:
        return None
    with defaults():
        figure = blank()
        axes = figure.add_subplot()
        dress(axes, theme, x=r"ridge $\rho$", y="mean squared error", grid="both")
        axes.set_xscale("log")
        axes.set_yscale("log")
        for name, label, colour, style in (
            ("loo", "leave-one-out", theme.first, "-"),
            ("gcv", "GCV", theme.second, "--"),
        ):
            known = positive & np.isfinite(columns[name]) & (columns[name] > 0)
            if known.any():
                axes.plot(
                    columns["ridge"][known], columns[name][known], style, color=colour, marker="o", markersize=3,
                    linewidth=1.6, label=label,
                )  # fmt: skip
        used = number(section(results, "solution").get("ridge"))
        if used is not None and used > 0:
            axes.axvline(used, color=theme.third, linestyle=":", linewidth=1.4, label="this run")
        legend(axes, theme)
        return figure


def caption(results: Results) -> str:
    """How the scores were computed, which ridges they prefer, and what the run used."""
    path = section(section(results, "theory"), "ridge_path")
    used = section(results, "solution").get("ridge")
    best = ", ".join(
        f"{name} prefers ρ = {value:.3g}"
        for name, value in (("leave-one-out", number(path.get("best_loo"))), ("GCV", number(path.get("best_gcv"))))
        if value is not None
    )
    return (
        f"Error without a test set against the ridge ρ added to the diagonal, {path.get('how') or 'not recorded'}; "
        f"no held-out row was used. {best or 'No ridge was resolved'}; this run used "
        f"{used if used is not None else 'an unrecorded one'}. Mean over rows and outputs."
    )


def data(results: Results) -> dict[str, list[Any]]:
    """Columns: ridge, loo, gcv, effective_dimension."""
    return {name: column.tolist() for name, column in _columns(results).items()}


def _columns(results: Results) -> dict[str, NDArray[np.float64]]:
    path = section(section(results, "theory"), "ridge_path")
    ridges = series(path.get("ridges"))
    columns = {"ridge": ridges}
    for name in ("loo", "gcv", "effective_dimension"):
        found = series(path.get(name))
        columns[name] = found if len(found) == len(ridges) else np.full(len(ridges), np.nan)
    scored = np.isfinite(columns["loo"]) | np.isfinite(columns["gcv"])
    return columns if scored.sum() >= 2 else {}
