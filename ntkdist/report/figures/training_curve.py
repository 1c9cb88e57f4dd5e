"""The training loss of the infinitely wide network against gradient-flow time, beside its envelope.

Jacot, Gabriel & Hongler 2018; Du et al. 2019: e^{−2λ_max t} L(0) ≤ L(t) ≤ e^{−2λ_min t} L(0). Where the exact
curve was not computed, the two envelopes alone are drawn: the loss lies between them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ntkdist.report.figures.canvas import blank, defaults, dress
from ntkdist.report.figures.theme import LIGHT, Theme
from ntkdist.report.reading import Results, number, section, series

_FLOOR = 1e-8
"""Losses below this share of L(0) are not drawn."""
_POINTS = 200


def draw(results: Results, theme: Theme = LIGHT) -> Figure | None:
    """Loss with its bounds and the envelope, log-log; None if neither curve nor envelope is known."""
    columns = _columns(results)
    if not columns:
        return None
    times, envelope = columns["time"], columns["envelope"]
    with defaults():
        figure = blank()
        axes = figure.add_subplot()
        dress(axes, theme, x="gradient-flow time $t$", y="training loss $L(t)$", grid="both")
        axes.set_xscale("log")
        axes.set_yscale("log")
        _line(axes, times, envelope, theme.second, "--", r"envelope $e^{-2\lambda_{\min}t}L(0)$", level=0.98)
        if "loss" in columns:
            lower, upper = columns["lower"], columns["upper"]
            shown = np.isfinite(lower) & np.isfinite(upper) & (lower > 0)
            axes.fill_between(times, lower, upper, where=shown, color=theme.first, alpha=0.25, linewidth=0)
            _line(axes, times, columns["loss"], theme.first, "-", "$L(t)$", level=0.3)
        else:
            fastest = columns["fastest"]
            axes.fill_between(times, np.maximum(fastest, 1e-300), envelope, color=theme.first, alpha=0.12, linewidth=0)
            _line(axes, times, fastest, theme.third, "--", r"$e^{-2\lambda_{\max}t}L(0)$", level=0.01)
        every = np.concatenate([c for name, c in columns.items() if name != "time"])
        top = float(np.nanmax(every))
        low = float(np.nanmin(every[every > top * _FLOOR]))
        axes.set_ylim(low / 2, top * 8)
        axes.set_xlim(float(times.min()), float(times.max()))
        return figure


def caption(results: Results) -> str:
    """What the curve is, in which convention, and what bounds it."""
    theory = section(results, "theory")
    curve = section(theory, "curve")
    if _curve(results):
        convention = curve.get("convention") or "gradient flow on L = ½ Σ (f − y)², f(0) = 0"
        return (
            "Training loss of the infinitely wide network on the training rows, both axes logarithmic: exact "
            "curve (band: lower and upper bound) and the envelope e^{−2λ_min t} L(0) of the convergence "
            f"theorem, with the lower end of λ_min. Convention: {convention}."
        )
    return (
        "Where the training loss of the infinitely wide network lies, both axes logarithmic: above "
        "e^{−2λ_max t} L(0) and below e^{−2λ_min t} L(0) (shaded), with the outer ends of both certified "
        "intervals. The exact curve was not computed in this run. Convention: gradient flow on "
        "L = ½ Σ (f − y)² summed over rows and outputs, f(0) = 0."
    )


def data(results: Results) -> dict[str, list[Any]]:
    """Columns: time, loss, lower, upper, envelope; or time and the two envelopes."""
    return {name: column.tolist() for name, column in _columns(results).items()}


def _columns(results: Results) -> dict[str, NDArray[np.float64]]:
    return _curve(results) or _envelopes(results)


def _curve(results: Results) -> dict[str, NDArray[np.float64]]:
    curve = section(section(results, "theory"), "curve")
    columns = {
        name: series(curve.get(key)) for name, key in (("time", "times"), ("loss", "loss"), ("envelope", "envelope"))
    }
    times = columns["time"]
    for end in ("lower", "upper"):
        found = series(curve.get(end))
        columns[end] = found if len(found) == len(times) else np.full(len(times), np.nan)
    if any(len(column) != len(times) for column in columns.values()):
        return {}
    # t = 0 and t = ∞ have no place on a logarithmic axis; the loss at 0 is the level the curve leaves from.
    shown = np.isfinite(times) & (times > 0) & np.isfinite(columns["loss"])
    order = np.argsort(times[shown])
    columns = {name: column[shown][order] for name, column in columns.items()}
    drawable = len(columns["time"]) >= 2 and bool((columns["loss"] > 0).any())
    return columns if drawable else {}


def _envelopes(results: Results) -> dict[str, NDArray[np.float64]]:
    spectrum, loss0 = section(results, "spectrum"), number(section(results, "theory").get("loss0"))
    low = number(section(spectrum, "lambda_min").get("lower"))
    high = number(section(spectrum, "lambda_max").get("upper"))
    if loss0 is None or low is None or high is None or not (loss0 > 0 and 0 < low <= high):
        return {}
    times = np.geomspace(0.02 / high, 8.0 / low, _POINTS)
    return {
        "time": times,
        "envelope": loss0 * np.exp(-2 * low * times),
        "fastest": loss0 * np.exp(-2 * high * times),
    }


def _line(
    axes: Axes,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    colour: str,
    style: str,
    label: str,
    *,
    level: float,
) -> None:
    """A curve, labelled where it has fallen to ``level`` of its height: above a plateau, else beside."""
    shown = np.isfinite(y) & (y > 0)
    axes.plot(x[shown], y[shown], color=colour, linestyle=style, linewidth=1.8)
    if not shown.any():
        return
    at = int(np.argmin(np.abs(np.log(y[shown] / (y[shown].max() * level)))))
    plateau = level > 0.9
    axes.annotate(
        label,
        (x[shown][at], y[shown][at]),
        xytext=(0, 5) if plateau else (-6, -4),
        textcoords="offset points",
        ha="right",
        va="bottom" if plateau else "top",
        color=colour,
        fontsize=10,
    )
