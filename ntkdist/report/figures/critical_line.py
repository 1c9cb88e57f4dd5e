"""The line χ₁ = 1 in the plane of (σ_b, σ_w), with the network's own initialisation."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ntkdist.report.figures.canvas import blank, defaults, dress
from ntkdist.report.figures.theme import LIGHT, Theme
from ntkdist.report.plain import plain
from ntkdist.report.reading import Results, items, number, section, series


def draw(results: Results, theme: Theme = LIGHT) -> Figure | None:
    """The line (full where lengths are stable), ordered below and chaotic above; None without a study."""
    found = _found(results)
    line = section(found, "line")
    sigma_w, sigma_b = series(line.get("sigma_w")), series(line.get("sigma_b"))
    own = series([found.get("sigma_b"), found.get("sigma_w")])
    if not len(sigma_w) or len(sigma_w) != len(sigma_b) or not np.isfinite(own).all():
        return None
    stable = np.array([bool(v) for v in items(line.get("stable"))] or [True] * len(sigma_w))
    with defaults():
        figure = blank()
        axes = figure.add_subplot()
        dress(axes, theme, x="σ_b", y="σ_w", grid="y")
        if len(sigma_w) == 1:
            axes.plot(sigma_b, sigma_w, linestyle="none", marker="*", markersize=12, color=theme.first, label="χ₁ = 1")
        else:
            axes.plot(sigma_b, np.where(stable, sigma_w, np.nan), color=theme.first, linewidth=1.8, label="χ₁ = 1")
            if not stable.all():
                unstable = np.where(stable, np.nan, sigma_w)
                axes.plot(sigma_b, unstable, color=theme.first, linestyle=":", label="χ₁ = 1, lengths unstable")
            axes.set_xlim(0, max(1.0, 2 * float(own[0]), float(np.quantile(sigma_b, 0.6))))
        axes.plot(own[0], own[1], linestyle="none", marker="o", color=theme.second, label="this network")
        axes.legend(frameon=False, fontsize=9, labelcolor=theme.ink)
        return figure


def caption(results: Results) -> str:
    """The phase of the network's own point."""
    found = _found(results)
    return (
        f"Initialisations of {plain(found.get('activation') or 'the activation')} networks whose gradients neither "
        "vanish nor explode with depth: σ_w² E φ′² = 1 at the squared length that layers keep. Below the line is "
        "order, above it chaos. "
        f"This network: χ₁ = {number(found.get('chi')) or 0:.4g}, {plain(found.get('phase') or 'phase not recorded')}."
    )


def data(results: Results) -> dict[str, list[Any]]:
    """Columns: q, sigma_w, sigma_b, stable."""
    line = section(_found(results), "line")
    return {name: items(line.get(name)) for name in ("q", "sigma_w", "sigma_b", "stable")}


def _found(results: Results) -> Any:
    return section(section(section(results, "widths"), "guidance"), "initialisation")
