"""What width does to learning: steps to ε and held-out loss by width, beside the infinite limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntkdist.report.figures.canvas import blank, defaults, dress
from ntkdist.report.figures.theme import LIGHT, Theme
from ntkdist.report.figures.width_scaling import ink, studies
from ntkdist.report.plain import plain
from ntkdist.report.reading import Results, items, number, section

PANELS = (("steps_to_epsilon", "steps to reach ε"), ("test_loss", "held-out loss per row"))


def draw(results: Results, theme: Theme = LIGHT) -> Figure | None:
    """Two panels with the mean and range over seeds; None where nothing was trained."""
    found = [s for s in studies(results) if any(_lines(s, key) for key, _ in PANELS)]
    if not found:
        return None
    infinite = section(section(results, "widths"), "infinite")
    with defaults():
        figure = blank(6.4, 3.0)
        for place, (key, label) in enumerate(PANELS, 1):
            axes = figure.add_subplot(1, 2, place)
            dress(axes, theme, x="width m", y=label, grid="y")
            axes.set_xscale("log", base=2)
            for order, study in enumerate(found):
                _one(axes, study, key, ink(theme, order))
            limit = number(infinite.get(key))
            if limit is not None:
                axes.axhline(limit, color=theme.muted, linestyle="--", linewidth=1.2, label="infinite width")
            if place == 2:
                axes.legend(frameon=False, fontsize=8, labelcolor=theme.ink)
        return figure


def _one(axes: Axes, study: Mapping[str, Any], key: str, colour: str) -> None:
    lines = _lines(study, key)
    if lines:
        width, mean, low, high = zip(*lines, strict=True)
        name = plain(study.get("name") or "unnamed", 24)
        axes.plot(width, mean, color=colour, marker="o", markersize=3, linewidth=1.3, label=name)
        axes.fill_between(width, low, high, color=colour, alpha=0.15, linewidth=0)


def _lines(study: Mapping[str, Any], key: str) -> list[tuple[float, float, float, float]]:
    """(width, mean, min, max) of the widths whose seeds all have the value."""
    found = []
    for line in items(study.get("widths")):
        if isinstance(line, Mapping):
            spread = section(line, key)
            row = [number(line.get("width")), *(number(spread.get(end)) for end in ("mean", "min", "max"))]
            if None not in row:
                found.append(tuple(row))
    return found  # type: ignore[return-value]


def caption(results: Results) -> str:
    """What is shown."""
    study = section(results, "widths")
    return (
        f"Left: steps until the training loss is below {number(study.get('epsilon')) or 0:g} of its start. Right: "
        f"½ Σ (f − y)² per held-out row after {study.get('steps')} steps. Lines are means, shades the range over "
        "seeds; the dashed line is "
        "gradient descent with the infinite-width kernel from f = 0."
    )


def data(results: Results) -> dict[str, list[Any]]:
    """Columns: parameterization, width, quantity, mean, min, max."""
    columns: dict[str, list[Any]] = {k: [] for k in ("parameterization", "width", "quantity", "mean", "min", "max")}
    for study in studies(results):
        for key, _ in PANELS:
            for width, mean, low, high in _lines(study, key):
                cells = (plain(study.get("name") or ""), width, key, mean, low, high)
                for name, cell in zip(columns, cells, strict=True):
                    columns[name].append(cell)
    return columns
