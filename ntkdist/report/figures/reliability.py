"""Calibration of the two Gaussian predictions: confidence against accuracy, NNGP posterior and NTK ensemble."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ntkdist.report.figures.canvas import blank, defaults, dress, legend
from ntkdist.report.figures.theme import LIGHT, Theme
from ntkdist.report.reading import Results, number, section, series

_KINDS = (("nngp", "NNGP posterior"), ("ensemble", "NTK ensemble"))


def draw(results: Results, theme: Theme = LIGHT) -> Figure | None:
    """Mean confidence of each bin against its accuracy, beside the diagonal; None without a calibration."""
    found = _bins(results)
    if not found:
        return None
    with defaults():
        figure = blank(width=4.2, height=3.6)
        axes = figure.add_subplot()
        dress(axes, theme, x="confidence", y="accuracy", grid="both")
        axes.plot([0, 1], [0, 1], color=theme.muted, linewidth=1.0, linestyle=":")
        for (key, label), colour in zip(_KINDS, (theme.first, theme.second), strict=True):
            if key in found:
                confidence, accuracy, count = found[key]
                axes.plot(confidence, accuracy, "-", color=colour, linewidth=1.2, label=label)
                axes.scatter(confidence, accuracy, s=8 + 80 * count / count.sum(), color=colour, zorder=3)
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.04)
        legend(axes, theme)
        return figure


def caption(results: Results) -> str:
    """Which rows, how confidence is made, and the expected calibration errors."""
    sides = section(section(results, "predictions"), "side_by_side")
    errors = [
        f"{label} {error:.3f}"
        for key, label in _KINDS
        if (error := number(section(sides, key).get("calibration_error"))) is not None
    ]
    rows = number(sides.get("variance_rows")) or 0
    return (
        f"Reliability on {rows:,.0f} held-out rows: probability that the predicted class has the largest of "
        "independent Gaussian outputs, against how often it is right, in ten bins (area: rows in the bin). Expected "
        f"calibration error: {', '.join(errors) or 'not recorded'}. Targets are centred one-hot, so the Gaussian "
        "model of them is itself an approximation."
    )


def data(results: Results) -> dict[str, list[Any]]:
    """Columns: kind, confidence, accuracy, count."""
    rows = [
        (key, float(c), float(a), float(k))
        for key, bins in _bins(results).items()
        for c, a, k in zip(*bins, strict=True)
    ]
    names = ("kind", "confidence", "accuracy", "count")
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def _bins(results: Results) -> dict[str, tuple[Any, Any, Any]]:
    sides = section(section(results, "predictions"), "side_by_side")
    found = {}
    for key, _ in _KINDS:
        bins = tuple(series(section(sides, key).get(name)) for name in ("confidence", "accuracy", "count"))
        whole = len(bins[0]) and len({len(b) for b in bins}) == 1 and all(np.isfinite(b).all() for b in bins)
        if whole and float(bins[2].min()) >= 0 and float(bins[2].sum()) > 0:
            found[key] = (bins[0], bins[1], bins[2])
    return found
