"""The kernel as a function of the angle between two rows of unit norm, f(cos θ): NTK and NNGP."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ntkdist.report.figures.canvas import blank, defaults, dress
from ntkdist.report.figures.theme import LIGHT, Theme
from ntkdist.report.reading import Results, section, series

_CURVES = (("ntk", r"NTK $\Theta$", "first"), ("nngp", r"NNGP $\Sigma$", "second"))


def draw(results: Results, theme: Theme = LIGHT) -> Figure | None:
    """Both kernels against cos θ, labelled on their curves; None if no curve is known."""
    columns = _columns(results)
    if len(columns) < 2:
        return None
    with defaults():
        figure = blank()
        axes = figure.add_subplot()
        dress(axes, theme, x=r"$\cos\theta$ between two rows of unit norm", y="kernel value")
        cosine = columns["cos"]
        at = int(np.argmin(np.abs(cosine - 0.5)))
        upper = max((name for name in columns if name != "cos"), key=lambda name: columns[name][at])
        for name, label, ink in _CURVES:
            if name not in columns:
                continue
            colour = getattr(theme, ink)
            axes.plot(cosine, columns[name], color=colour, linewidth=1.8)
            axes.annotate(
                label,
                (cosine[at], columns[name][at]),
                xytext=(-6, 6) if name == upper else (6, -6),
                textcoords="offset points",
                ha="right" if name == upper else "left",
                va="bottom" if name == upper else "top",
                color=colour,
            )
        axes.set_xlim(-1, 1)
        return figure


def caption(results: Results) -> str:
    """Which kernel, and what is drawn."""
    kernel = section(results, "kernel").get("description") or "not described"
    return (
        "Kernel value of two rows of unit norm as a function of the cosine of their angle: NTK Θ, which "
        f"governs training, and NNGP Σ, the prior at initialisation. Kernel: {kernel}."
    )


def data(results: Results) -> dict[str, list[Any]]:
    """Columns: cos, ntk, nngp (those known)."""
    return {name: column.tolist() for name, column in _columns(results).items()}


def _columns(results: Results) -> dict[str, NDArray[np.float64]]:
    function = section(results, "kernel_function")
    cosine = series(function.get("cos"))
    columns = {name: series(function.get(name)) for name, _, _ in _CURVES}
    kept = {name: c for name, c in columns.items() if len(c) == len(cosine) and np.isfinite(c).all()}
    if len(cosine) < 2 or not np.isfinite(cosine).all() or not kept:
        return {}
    order = np.argsort(cosine)
    return {name: column[order] for name, column in ({"cos": cosine} | kept).items()}
