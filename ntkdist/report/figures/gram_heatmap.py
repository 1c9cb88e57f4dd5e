"""A sample of the Gram matrix as a heat map, rows sorted by class or target, so that blocks show."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntkdist.report.figures.canvas import blank, defaults, dress
from ntkdist.report.figures.theme import LIGHT, Theme
from ntkdist.report.plain import figure_text
from ntkdist.report.reading import Results, items, matrix, section

_MOST_NAMES = 12


def draw(results: Results, theme: Theme = LIGHT) -> Figure | None:
    """The sample with a colour bar; class names at their blocks; None if there is no square sample."""
    values = matrix(section(results, "gram_sample").get("values"))
    if values is None:
        return None
    with defaults():
        figure = blank(height=4.1)
        axes = figure.add_subplot()
        dress(axes, theme, grid=None)
        image = axes.imshow(values, cmap=theme.colormap, interpolation="nearest", aspect="equal")
        for spine in axes.spines.values():
            spine.set_visible(False)
        labels = items(section(results, "gram_sample").get("labels"))
        if len(labels) != len(values) or not _name_blocks(axes, labels, theme):
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_xlabel("rows, sorted by target →", color=theme.ink)
        bar = figure.colorbar(image, ax=axes, shrink=0.9, pad=0.02)
        bar.outline.set_visible(False)
        bar.ax.tick_params(colors=theme.muted, labelcolor=theme.ink, labelsize=9)
        return figure


def caption(results: Results) -> str:
    """How many rows, in which order, of which kernel."""
    sample = section(results, "gram_sample")
    shown = len(items(sample.get("values")))
    which = {"ntk": "NTK Θ", "nngp": "NNGP Σ"}.get(str(section(results, "kernel").get("which")), "kernel")
    return (
        f"Gram matrix ({which}) of a random sample of {shown} training rows, sorted "
        f"{sample.get('order') or 'by target'}; the colour bar gives the kernel value. Bright "
        "diagonal blocks are groups of rows the kernel holds alike."
    )


def data(results: Results) -> dict[str, list[Any]]:
    """Columns: label of the row, then one column per row of the sample."""
    sample = section(results, "gram_sample")
    values = matrix(sample.get("values"))
    if values is None:
        return {}
    labels = items(sample.get("labels"))
    rows = labels if len(labels) == len(values) else list(range(len(values)))
    return {"label": rows} | {f"k{j}": values[:, j].tolist() for j in range(len(values))}


def _name_blocks(axes: Axes, labels: list[Any], theme: Theme) -> bool:
    """Names at the middle of their blocks, lines between; False where there are too many to read."""
    blocks = [(name, len(list(run))) for name, run in groupby(str(label) for label in labels)]
    if not 1 < len(blocks) <= _MOST_NAMES:
        return False
    start, middles = 0, []
    for _, size in blocks:
        middles.append(start + size / 2 - 0.5)
        start += size
        if start < len(labels):
            for line in (axes.axhline, axes.axvline):
                line(start - 0.5, color=theme.paper, linewidth=0.7, alpha=0.8)
    names = [figure_text(name, 10) for name, _ in blocks]
    slanted = max(len(name) for name in names) > 3
    axes.set_xticks(middles, names, rotation=90 if slanted else 0)
    axes.set_yticks(middles, names)
    axes.tick_params(length=0)
    return True
