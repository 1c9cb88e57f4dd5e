"""Held-out rows over training time: error and accuracy of the infinitely wide network while it trains."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ntkdist.report.figures.canvas import blank, defaults, dress
from ntkdist.report.figures.theme import LIGHT, Theme
from ntkdist.report.reading import Results, section, series


def draw(results: Results, theme: Theme = LIGHT) -> Figure | None:
    """Mean squared error, and accuracy on a second panel where there are classes; None without the curve."""
    columns = _columns(results)
    if not columns:
        return None
    times, accuracy = columns["time"], columns["accuracy"]
    classes = bool(np.isfinite(accuracy).any())
    with defaults():
        figure = blank(height=4.2 if classes else 3.3)
        panels = figure.subplots(2 if classes else 1, 1, sharex=True, squeeze=False)[:, 0]
        dress(panels[0], theme, x="" if classes else "gradient-flow time $t$", y="held-out MSE", grid="both")
        panels[0].set_xscale("log")
        panels[0].plot(times, columns["mse"], color=theme.first, linewidth=1.8)
        at = int(np.argmin(columns["mse"]))
        panels[0].plot(times[at], columns["mse"][at], marker="o", color=theme.second, markersize=5)
        panels[0].set_ylim(0, float(columns["mse"].max()) * 1.08)
        if classes:
            dress(panels[1], theme, x="gradient-flow time $t$", y="accuracy (%)", grid="both")
            panels[1].plot(times, 100 * accuracy, color=theme.third, linewidth=1.8)
        panels[-1].set_xlim(float(times.min()), float(times.max()))
        return figure


def caption(results: Results) -> str:
    """What is shown, from which start, and how exactly the curve is known."""
    curve = section(section(results, "theory"), "curve")
    errors = series(section(curve, "test").get("largest_error_of_f"))
    known = errors[np.isfinite(errors)]
    exact = f" No prediction errs by more than {known.max():.1e} (bound)." if len(known) else ""
    return (
        "The infinitely wide network on held-out rows while it trains by gradient flow, f(0): "
        f"{curve.get('initial') or 'not recorded'}. The dot is the least error on these rows (it used them, so it is "
        f"no estimate of risk).{exact}"
    )


def data(results: Results) -> dict[str, list[Any]]:
    """Columns: time, mse, accuracy."""
    return {name: column.tolist() for name, column in _columns(results).items()}


def _columns(results: Results) -> dict[str, NDArray[np.float64]]:
    curve = section(section(results, "theory"), "curve")
    test, times = section(curve, "test"), series(curve.get("times"))
    mse, accuracy = series(test.get("mse")), series(test.get("accuracy"))
    if len(mse) != len(times):
        return {}
    if len(accuracy) != len(times):
        accuracy = np.full(len(times), np.nan)
    shown = np.isfinite(times) & (times > 0) & np.isfinite(mse)
    order = np.argsort(times[shown])
    columns = {"time": times[shown][order], "mse": mse[shown][order], "accuracy": accuracy[shown][order]}
    return columns if len(columns["time"]) >= 2 and float(columns["mse"].max()) > 0 else {}
