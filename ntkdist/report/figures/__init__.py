"""The figures of the report, one file each, all of one shape.

``draw(results, theme) -> Figure | None`` (None where the run has not computed what it shows),
``caption(results)`` and ``data(results)`` (the columns of its CSV).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from matplotlib.figure import Figure

from ntkdist.report.figures import (
    confusion,
    convergence_history,
    gram_heatmap,
    kernel_function,
    spectrum,
    training_curve,
)
from ntkdist.report.figures.canvas import png, svg
from ntkdist.report.figures.theme import DARK, LIGHT, Theme
from ntkdist.report.reading import Results

__all__ = ["DARK", "FIGURES", "LIGHT", "Plot", "Theme", "png", "svg"]


class Draw(Protocol):
    """Draws a figure in a theme, or nothing."""

    def __call__(self, results: Results, theme: Theme = LIGHT) -> Figure | None: ...


@dataclass(frozen=True)
class Plot:
    """A figure: its file name, its title, and its three functions."""

    name: str
    title: str
    draw: Draw
    caption: Callable[[Results], str]
    data: Callable[[Results], dict[str, list[Any]]]


FIGURES = (
    Plot("spectrum", "Spectrum", spectrum.draw, spectrum.caption, spectrum.data),
    Plot("training_curve", "Training", training_curve.draw, training_curve.caption, training_curve.data),
    Plot(
        "kernel_function",
        "Kernel function",
        kernel_function.draw,
        kernel_function.caption,
        kernel_function.data,
    ),
    Plot("gram_heatmap", "Gram matrix", gram_heatmap.draw, gram_heatmap.caption, gram_heatmap.data),
    Plot(
        "convergence_history",
        "Solver",
        convergence_history.draw,
        convergence_history.caption,
        convergence_history.data,
    ),
    Plot("confusion", "Confusion matrix", confusion.draw, confusion.caption, confusion.data),
)
"""In the order of the report."""
