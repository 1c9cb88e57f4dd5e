"""The spectrum of the Gram matrix: known eigenvalues, their density, the certified intervals of both ends.

The ends are known to many digits, so their intervals are invisible on the axis of the spectrum. Two strips
below magnify them: each shows [lower, upper] around the value, in units of the interval's own width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntkdist.report.figures.canvas import blank, defaults, dress
from ntkdist.report.figures.theme import LIGHT, Theme
from ntkdist.report.reading import Results, number, section, series
from ntkdist.report.value import format_value, significant

_ENDS = (("lambda_min", r"$\lambda_{\min}$", "λ_min"), ("lambda_max", r"$\lambda_{\max}$", "λ_max"))


def draw(results: Results, theme: Theme = LIGHT) -> Figure | None:
    """Eigenvalues on a logarithmic axis with the intervals of both ends magnified; None without both ends."""
    spectrum = section(results, "spectrum")
    ends = [_ends(section(spectrum, key)) for key, _, _ in _ENDS]
    if any(value is None for value, _, _ in ends):
        return None
    with defaults():
        figure = blank(height=3.4)
        grid = figure.add_gridspec(2, 2, height_ratios=(3.2, 1.0))
        _overview(figure.add_subplot(grid[0, :]), spectrum, theme)
        for column, (key, label, _) in enumerate(_ENDS):
            colour = theme.second if key == "lambda_min" else theme.third
            _strip(figure.add_subplot(grid[1, column]), ends[column], label, colour, theme)
        return figure


def caption(results: Results) -> str:
    """What is marked, with values, grades and reasons."""
    spectrum = section(results, "spectrum")
    n = number(section(results, "gram").get("n"))
    parts = []
    for key, _, name in _ENDS:
        end = section(spectrum, key)
        grade = end.get("grade") or "no certificate"
        value = format_value(end.get("value"), end.get("lower"), end.get("upper"))
        parts.append(f"{name} = {value} ({grade}: {end.get('reason') or 'no reason recorded'})")
    size = f" of the {n:,.0f} × {n:,.0f} Gram matrix" if n is not None else ""
    density = section(spectrum, "density")
    curve = " The curve is the estimated spectral density, the band its error." if density else ""
    known = len(series(spectrum.get("lowest"))) + len(series(spectrum.get("highest")))
    marks = f" Ticks mark the {known} eigenvalues computed individually." if known else ""
    return (
        f"Spectrum{size}, logarithmic axis.{marks}{curve} Below, the certified interval of each end, "
        f"magnified: offset from the value. {parts[0]}. {parts[1]}."
    )


def data(results: Results) -> dict[str, list[Any]]:
    """Columns: kind of mark, eigenvalue, lower, upper."""
    spectrum = section(results, "spectrum")
    rows: list[tuple[Any, ...]] = []
    for key, _, _ in _ENDS:
        value, lower, upper = _ends(section(spectrum, key))
        rows.append((key, value, lower, upper))
    for key in ("lowest", "highest"):
        rows += [(key, v, None, None) for v in series(spectrum.get(key)).tolist()]
    density = section(spectrum, "density")
    x, p = series(density.get("x")), series(density.get("density"))
    rows += [(f"density at {v:.17g}", d, None, None) for v, d in zip(x.tolist(), p.tolist(), strict=False)]
    return {
        name: list(column)
        for name, column in zip(("mark", "value", "lower", "upper"), zip(*rows, strict=True), strict=True)
    }


def _ends(interval: Mapping[str, Any]) -> tuple[float | None, float | None, float | None]:
    return number(interval.get("value")), number(interval.get("lower")), number(interval.get("upper"))


def _overview(axes: Axes, spectrum: Mapping[str, Any], theme: Theme) -> None:
    values = {key: number(section(spectrum, key).get("value")) for key, _, _ in _ENDS}
    known = np.concatenate([series(spectrum.get("lowest")), series(spectrum.get("highest"))])
    positive = known[np.isfinite(known) & (known > 0)]
    density = section(spectrum, "density")
    x, p = series(density.get("x")), series(density.get("density"))
    low, high = values["lambda_min"], values["lambda_max"]
    assert low is not None
    assert high is not None
    logarithmic = low > 0 and high > 0
    dress(axes, theme, x=r"eigenvalue $\lambda$", grid="x")
    if logarithmic:
        axes.set_xscale("log")
        axes.set_xlim(low / (high / low) ** 0.06 / 1.05, high * (high / low) ** 0.06 * 1.05)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    if len(x) and len(x) == len(p):
        _density(axes, x, p, series(density.get("error")), theme)
    axes.vlines(positive if logarithmic else known[np.isfinite(known)], 0, 0.16, color=theme.first, linewidth=1.0)
    for (key, label, _), value in zip(_ENDS, (low, high), strict=True):
        colour = theme.second if key == "lambda_min" else theme.third
        axes.vlines([value], 0, 0.78, color=colour, linewidth=1.8)
        left = key == "lambda_min"
        axes.annotate(
            f"{label} = {significant(value, 5)}",
            (value, 0.86),
            xytext=(-4 if left else 4, 0),
            textcoords="offset points",
            ha="left" if left else "right",
            va="bottom",
            color=colour,
            fontsize=10,
            annotation_clip=False,
        )
    axes.set_ylim(0, 1.12)


def _density(axes: Axes, x: Any, p: Any, error: Any, theme: Theme) -> None:
    top = float(np.nanmax(p)) if np.isfinite(p).any() else 0.0
    if not top > 0:
        return
    scale = 0.72 / top
    axes.plot(x, p * scale, color=theme.first, linewidth=1.4)
    if len(error) == len(x):
        axes.fill_between(
            x, (p - error).clip(0) * scale, (p + error) * scale, color=theme.first, alpha=0.18, linewidth=0
        )


def _strip(
    axes: Axes, ends: tuple[float | None, float | None, float | None], label: str, colour: str, theme: Theme
) -> None:
    value, lower, upper = ends
    assert value is not None
    dress(axes, theme, grid=None)
    axes.spines["left"].set_visible(False)
    axes.set_yticks([])
    axes.set_ylim(-1, 1)
    low, high = (None if end is None else end - value for end in (lower, upper))
    known = [abs(offset) for offset in (low, high) if offset is not None]
    reach = max(known, default=0.0)
    axes.plot([0], [0], marker="o", markersize=5, color=colour)
    if not reach > 0:
        text = "no interval recorded" if not known else "interval of width 0"
        axes.set_xticks([])
        axes.set_xlabel(f"{label}: {text}", color=theme.ink, fontsize=9)
        return
    power = math.floor(math.log10(reach))
    scale = 10.0**-power
    left = (-reach * 1.3 if low is None else low) * scale
    right = (reach * 1.3 if high is None else high) * scale
    axes.plot([left, right], [0, 0], color=colour, linewidth=1.8)
    for end, x in ((low, left), (high, right)):
        axes.plot([x], [0], marker="|" if end is not None else ("<" if x < 0 else ">"), markersize=12, color=colour)
    pad = 0.12 * (right - left)
    axes.set_xlim(min(left, 0) - pad, max(right, 0) + pad)
    axes.set_xlabel(rf"interval of {label}: offset, $\times 10^{{{power}}}$", color=theme.ink, fontsize=9)
