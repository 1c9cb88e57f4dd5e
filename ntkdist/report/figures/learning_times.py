"""Which share of the targets is learned by when: label energy along the kernel's directions against 1/λ."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ntkdist.report.figures.canvas import blank, defaults, dress, legend
from ntkdist.report.figures.theme import LIGHT, Theme
from ntkdist.report.reading import Results, section, series


def draw(results: Results, theme: Theme = LIGHT) -> Figure | None:
    """Energy of each direction and the energy not yet learned, against its learning time; None without two."""
    columns = _columns(results)
    if not columns:
        return None
    times, energy, left = columns["time"], columns["energy"], columns["not_learned"]
    with defaults():
        figure = blank()
        axes = figure.add_subplot()
        dress(axes, theme, x=r"learning time $1/\lambda$", y="share of the initial loss", grid="both")
        axes.set_xscale("log")
        axes.set_yscale("log")
        floor = 1e-12
        shown = energy > floor
        axes.vlines(times[shown], floor, energy[shown], color=theme.first, linewidth=0.8, alpha=0.6)
        axes.plot(times[shown], energy[shown], ".", color=theme.first, markersize=4, label="in this direction")
        axes.step(times, np.maximum(left, floor), where="post", color=theme.second, linewidth=1.6, label="slower ones")
        low = float(min(energy[shown].min(), left[left > floor].min(initial=1.0)))
        axes.set_ylim(max(low / 3, floor), 3)
        legend(axes, theme)
        return figure


def caption(results: Results) -> str:
    """What the directions are and how to read them."""
    table = section(section(section(results, "theory"), "curve"), "learning_times")
    exact = table.get("kind") == "eigenvalues"
    what = "eigendirections of Θ" if exact else "Ritz directions of the training's Krylov space (exact at the fast end)"
    return (
        f"Learning times. Gradient flow learns the part of the targets along a direction of eigenvalue λ in about "
        f"1/λ. Points: share of the initial loss along each of {len(series(table.get('time')))} {what}; steps: share "
        "that only slower directions carry."
    )


def data(results: Results) -> dict[str, list[Any]]:
    """Columns: time, energy, not_learned."""
    return {name: column.tolist() for name, column in _columns(results).items()}


def _columns(results: Results) -> dict[str, NDArray[np.float64]]:
    table = section(section(section(results, "theory"), "curve"), "learning_times")
    times, energy, learned = (series(table.get(key)) for key in ("time", "energy", "learned"))
    if not len(times) == len(energy) == len(learned):
        return {}
    shown = np.isfinite(times) & (times > 0) & np.isfinite(energy) & np.isfinite(learned)
    columns = {"time": times[shown], "energy": energy[shown], "not_learned": np.maximum(1 - learned[shown], 0)}
    return columns if len(columns["time"]) >= 2 and bool((columns["energy"] > 1e-12).any()) else {}
