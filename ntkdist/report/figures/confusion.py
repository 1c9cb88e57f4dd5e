"""The confusion matrix of the held-out rows: right answers in one colour, mistakes in another."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ntkdist.report.figures.canvas import blank, defaults, dress
from ntkdist.report.figures.theme import LIGHT, Theme
from ntkdist.report.plain import figure_text, plain
from ntkdist.report.reading import Results, items, matrix, number, section

_MOST_COUNTS = 20


def draw(results: Results, theme: Theme = LIGHT) -> Figure | None:
    """Counts of (true, predicted) classes; None without a square table or without a held-out row."""
    table = matrix(section(results, "predictions").get("confusion"))
    if table is None or (table < 0).any() or table.sum() == 0:
        return None
    k = len(table)
    with defaults():
        figure = blank(height=4.3)
        axes = figure.add_subplot()
        dress(axes, theme, x="predicted class", y="true class", grid=None)
        axes.imshow(_shades(table, theme), interpolation="nearest", aspect="equal")
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.tick_params(length=0)
        names = [figure_text(name, 10) for name in _names(results, k)]
        every = max(1, -(-k // 25))
        slanted = max(len(name) for name in names) > 3
        axes.set_xticks(range(0, k, every), names[::every], rotation=90 if slanted else 0)
        axes.set_yticks(range(0, k, every), names[::every])
        if k <= _MOST_COUNTS:
            for i, j in zip(*np.nonzero(table), strict=True):
                axes.text(j, i, f"{table[i, j]:.0f}", ha="center", va="center", fontsize=8, color=theme.ink)
        return figure


def caption(results: Results) -> str:
    """How many rows, how many right, with the interval of the accuracy."""
    predictions = section(results, "predictions")
    metrics = section(predictions, "metrics")
    accuracy = number(metrics.get("accuracy"))
    ends = [number(v) for v in items(metrics.get("accuracy_interval"))]
    told = "" if accuracy is None else f" Accuracy {100 * accuracy:.2f}%"
    if told and len(ends) == 2 and ends[0] is not None and ends[1] is not None:
        told += f", 95% Wilson interval {100 * ends[0]:.2f}% to {100 * ends[1]:.2f}%"
    count = number(predictions.get("n_test"))
    rows = "" if count is None else f" of the {count:,.0f} held-out rows"
    return (
        f"Confusion matrix{rows}: number of rows of each true class (vertical) given each class "
        "(horizontal). Right answers are shaded by their share of the class, mistakes in a second colour "
        f"relative to the most frequent mistake.{told + '.' if told else ''}"
    )


def data(results: Results) -> dict[str, list[Any]]:
    """Columns: true class, then one per predicted class."""
    table = matrix(section(results, "predictions").get("confusion"))
    if table is None:
        return {}
    names = [plain(name) for name in _names(results, len(table))]
    return {"true class": names} | {
        f"predicted {j}: {name}": [int(v) for v in table[:, j]] for j, name in enumerate(names)
    }


def _names(results: Results, k: int) -> list[str]:
    classes = [str(c) for c in items(section(results, "data").get("classes"))]
    return classes if len(classes) == k else [str(i) for i in range(k)]


def _shades(table: NDArray[np.float64], theme: Theme) -> NDArray[np.float64]:
    """(k, k, 4) colours: share of the row on the diagonal, share of the worst mistake off it."""
    k = len(table)
    image = np.zeros((k, k, 4))
    image[...] = to_rgba(theme.second)
    image[np.arange(k), np.arange(k)] = to_rgba(theme.first)
    mistakes = table - np.diag(np.diag(table))
    strength = 0.75 * mistakes / max(mistakes.max(), 1.0)
    rows = np.maximum(table.sum(axis=1), 1.0)
    strength[np.arange(k), np.arange(k)] = 0.5 * np.diag(table) / rows
    image[..., 3] = np.where(table > 0, 0.08 + strength, 0.03)
    return image
