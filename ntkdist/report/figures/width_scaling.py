"""How finite networks approach their kernel: four quantities against width, with fitted power laws and bands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntkdist.report.figures.canvas import blank, defaults, dress
from ntkdist.report.figures.theme import LIGHT, Theme
from ntkdist.report.plain import plain
from ntkdist.report.reading import Results, items, number, section, series

PANELS = (
    ("kernel_distance", "kernel to its limit"),
    ("effective", "effective weights moved"),
    ("drift", "kernel drift"),
    ("representation", "hidden layer moved"),
)
_MARKS = ("o", "s", "^", "D", "v", "P")


def draw(results: Results, theme: Theme = LIGHT) -> Figure | None:
    """Four logarithmic panels, a colour and mark per parameterization; None without a study."""
    found = studies(results)
    if not found:
        return None
    with defaults():
        figure = blank(6.4, 5.4)
        for place, (key, label) in enumerate(PANELS, 1):
            axes = figure.add_subplot(2, 2, place)
            dress(axes, theme, x="width m" if place > 2 else "", y=label, grid="y")
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            for number_, study in enumerate(found):
                _one(axes, study, key, ink(theme, number_), _MARKS[number_ % len(_MARKS)])
            if place == 2 and axes.get_legend_handles_labels()[0]:
                legend = axes.legend(frameon=False, fontsize=8, loc="lower left", labelcolor=theme.ink)
                legend.set_in_layout(False)
        return figure


def ink(theme: Theme, place: int) -> str:
    """The colour of the study at ``place``."""
    return (theme.first, theme.third, theme.second, theme.ink)[place % 4]


def studies(results: Results) -> list[Mapping[str, Any]]:
    """The parameterizations of the width study that have points."""
    found = items(section(results, "widths").get("studies"))
    return [s for s in found if isinstance(s, Mapping) and items(s.get("points"))]


def _one(axes: Axes, study: Mapping[str, Any], key: str, colour: str, mark: str) -> None:
    width, value = points(study, key)
    if not len(width):
        return
    fit = section(section(study, "fits"), key)
    slope = number(fit.get("exponent"))
    name = plain(study.get("name") or "unnamed", 24)
    label = name if slope is None else f"{name}: m^{slope:.2f}"
    axes.plot(width, value, linestyle="none", marker=mark, markersize=3.5, color=colour, alpha=0.8, label=label)
    band = section(fit, "band")
    m, line, low, high = (series(band.get(k)) for k in ("width", "line", "lower", "upper"))
    if len(m) and len(m) == len(line) == len(low) == len(high):
        axes.plot(m, line, color=colour, linewidth=1.3)
        axes.fill_between(m, low, high, color=colour, alpha=0.15, linewidth=0)


def points(study: Mapping[str, Any], key: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Widths and positive values of one quantity, every seed a point."""
    pairs = [
        (m, v)
        for p in items(study.get("points"))
        if isinstance(p, Mapping)
        and (m := number(p.get("width"))) is not None
        and (v := number(p.get(key))) is not None
        and v > 0
    ]
    table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def caption(results: Results) -> str:
    """What each panel shows and how the lines were fitted."""
    study = section(results, "widths")
    return (
        "Every mark is one network (a width and a seed); lines are power laws fitted by least squares to the "
        "logarithms, with 95% confidence bands of the line. Kernel to its limit: ‖Θ_m − Θ_∞‖/‖Θ_∞‖ at initialisation. "
        "Effective weights: ‖W(T) − W(0)‖ of W = σ_w m^−a w over the layers after a hidden one. Drift: "
        f"‖Θ(T) − Θ(0)‖/‖Θ(0)‖. Hidden layer: the same of its activations. Training: {study.get('steps')} full-batch "
        f"steps of {number(study.get('step_share')) or 0:g} × 2/λ_max(Θ_∞) on {study.get('rows')} rows, f(0) removed."
    )


def data(results: Results) -> dict[str, list[Any]]:
    """Columns: parameterization, width, seed, and every quantity."""
    columns: dict[str, list[Any]] = {"parameterization": [], "width": [], "seed": []} | {key: [] for key, _ in PANELS}
    for study in studies(results):
        for point in items(study.get("points")):
            columns["parameterization"].append(plain(study.get("name") or ""))
            for name in list(columns)[1:]:
                columns[name].append(number(point.get(name)))
    return columns
