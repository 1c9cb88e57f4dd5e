"""Depth: the kernel function, the spectrum and its ends for growing L, from the document of ``ntkdist depth``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from ntkdist.report.figures.canvas import blank, defaults, dress, legend
from ntkdist.report.figures.theme import LIGHT, Theme
from ntkdist.report.reading import Results


def _shades(count: int, theme: Theme) -> list[tuple[float, ...]]:
    """From the theme's second colour (shallow) to its first (deep)."""
    low, high = np.array(to_rgb(theme.second)), np.array(to_rgb(theme.first))
    return [tuple((low + (high - low) * t).tolist()) for t in np.linspace(0, 1, count)]


def _figure(paint: Callable[[Axes, Results, Theme], None], results: Results, theme: Theme = LIGHT) -> Figure | None:
    if not results.get("depths"):
        return None
    with defaults():
        figure = blank()
        paint(figure.add_subplot(), results, theme)
        return figure


def _paint_function(axes: Axes, results: Results, theme: Theme) -> None:
    dress(axes, theme, x=r"$\cos\theta$", y=r"$f_L(\cos\theta)\,/\,f_L(1)$")
    which = results["which"]
    for depth, row, shade in zip(
        results["depths"], results[which], _shades(len(results["depths"]), theme), strict=True
    ):
        axes.plot(results["cosines"], [np.nan if v is None else v for v in row], color=shade, label=f"L = {depth}")
    legend(axes, theme)


def _paint_spectrum(axes: Axes, results: Results, theme: Theme) -> None:
    dress(axes, theme, x="number of the eigenvalue", y="eigenvalue / mean diagonal entry")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for part, shade in zip(results["spectra"], _shades(len(results["spectra"]), theme), strict=True):
        values = np.array(part["eigenvalues"])
        known = values > part["resolution"]
        axes.plot(np.arange(1, values.size + 1)[known], values[known], color=shade, label=f"L = {part['depth']}")
    legend(axes, theme)


def _paint_ends(axes: Axes, results: Results, theme: Theme) -> None:
    dress(axes, theme, x="depth L", y="eigenvalue / mean diagonal entry")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for name, label, colour in (
        ("lambda_max", r"$\lambda_{\max}$", theme.third),
        ("lambda_min", r"$\lambda_{\min}$", theme.second),
    ):
        points = [(p["depth"], p[name]) for p in results["spectra"] if p[name] > p["resolution"]]
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=4, label=label)
    legend(axes, theme)


draw_function = partial(_figure, _paint_function)
draw_spectrum = partial(_figure, _paint_spectrum)
draw_ends = partial(_figure, _paint_ends)


def function_caption(results: Results) -> str:
    """Which kernel, on rows of which length."""
    return (
        f"The {str(results['which']).upper()} of two rows of squared length {results['squared_length']:.4g} (the data's"
        " median after input scaling) against the cosine of their angle, divided by its value at θ = 0, for growing"
        f" depth. Kernel: {results['kernel']}."
    )


def spectrum_caption(results: Results) -> str:
    """Of which matrix, and what is left out."""
    return (
        f"Eigenvalues of the Gram matrix of {results['rule']}, divided by the mean diagonal entry, for growing depth."
        " Those below what float64 resolves are left out."
    )


def ends_caption(results: Results) -> str:
    """Which ends, and what is left out."""
    return f"Largest and smallest eigenvalue of {results['rule']} against depth; a λ_min not resolved is left out."


def function_data(results: Results) -> dict[str, list[Any]]:
    """Columns: cos, then ntk and nngp of every depth."""
    table: dict[str, list[Any]] = {"cos": list(results["cosines"])}
    for which in ("ntk", "nngp"):
        for depth, row in zip(results["depths"], results[which], strict=True):
            table[f"{which}_L{depth}"] = list(row)
    return table


def spectrum_data(results: Results) -> dict[str, list[Any]]:
    """Columns: the eigenvalues of every depth, largest first."""
    return {f"L{part['depth']}": list(part["eigenvalues"]) for part in results["spectra"]}


def ends_data(results: Results) -> dict[str, list[Any]]:
    """Columns: depth, both ends, resolution, condition number, share of the largest, effective rank."""
    names: Sequence[str] = (
        "depth", "lambda_max", "lambda_min", "resolution", "condition", "top_share", "effective_rank", "mean_diagonal",
    )  # fmt: skip
    return {name: [part[name] for part in results["spectra"]] for name in names}
