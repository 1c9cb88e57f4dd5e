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
    critical_line,
    gram_heatmap,
    held_out_curve,
    kernel_function,
    learning_curve,
    learning_times,
    reliability,
    ridge_path,
    spectrum,
    training_curve,
    width_learning,
    width_scaling,
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
    """A figure: its file name, its title, its three functions, and whether only some runs are asked for it."""

    name: str
    title: str
    draw: Draw
    caption: Callable[[Results], str]
    data: Callable[[Results], dict[str, list[Any]]]
    optional: bool = False


FIGURES = (
    Plot("spectrum", "Spectrum", spectrum.draw, spectrum.caption, spectrum.data),
    Plot("training_curve", "Training", training_curve.draw, training_curve.caption, training_curve.data),
    Plot("held_out_curve", "Held-out rows", held_out_curve.draw, held_out_curve.caption, held_out_curve.data),
    Plot("learning_times", "Learning times", learning_times.draw, learning_times.caption, learning_times.data),
    Plot("learning_curve", "Learning curve", learning_curve.draw, learning_curve.caption, learning_curve.data),
    Plot("ridge_path", "Ridge", ridge_path.draw, ridge_path.caption, ridge_path.data),
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
    Plot("reliability", "Calibration", reliability.draw, reliability.caption, reliability.data),
    Plot("width_scaling", "Width", width_scaling.draw, width_scaling.caption, width_scaling.data, True),
    Plot(
        "width_learning", "Width and learning", width_learning.draw, width_learning.caption, width_learning.data, True
    ),
    Plot("critical_line", "Initialisation", critical_line.draw, critical_line.caption, critical_line.data, True),
)
"""In the order of the report."""
