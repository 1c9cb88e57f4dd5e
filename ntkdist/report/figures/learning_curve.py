"""Held-out error against the number of training rows: measured on subsamples, and predicted from the spectrum."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ntkdist.report.figures.canvas import blank, defaults, dress, legend
from ntkdist.report.figures.theme import LIGHT, Theme
from ntkdist.report.reading import Results, number, section, series


def draw(results: Results, theme: Theme = LIGHT) -> Figure | None:
    """Squared error, both axes logarithmic, and accuracy below where there are classes; None without two sizes."""
    columns = _columns(results)
    if not columns:
        return None
    n, accuracy = columns["n"], columns["accuracy"]
    classes = bool(np.isfinite(accuracy).any())
    with defaults():
        figure = blank(height=4.4 if classes else 3.3)
        panels = figure.subplots(2 if classes else 1, 1, sharex=True, squeeze=False)[:, 0]
        error = panels[0]
        dress(error, theme, x="" if classes else "training rows $n$", y="squared error", grid="both")
        error.set_xscale("log", base=2)
        error.set_yscale("log")
        error.errorbar(
            n, columns["mse"], yerr=columns["mse_spread"], color=theme.first, marker="o", markersize=4,
            linewidth=1.6, capsize=2, label="measured",
        )  # fmt: skip
        known = np.isfinite(columns["predicted_mse"])
        if known.any():
            error.plot(
                n[known], columns["predicted_mse"][known], color=theme.second, linestyle="--", marker="s",
                markersize=4, linewidth=1.4, label="predicted",
            )  # fmt: skip
        legend(error, theme)
        if classes:
            dress(panels[1], theme, x="training rows $n$", y="accuracy (%)", grid="both")
            panels[1].errorbar(
                n, 100 * accuracy, yerr=100 * columns["accuracy_spread"], color=theme.third, marker="o", markersize=4,
                linewidth=1.6, capsize=2,
            )  # fmt: skip
        panels[-1].set_xticks(n, [f"{int(v):,}" for v in n])
        panels[-1].minorticks_off()
        return figure


def caption(results: Results) -> str:
    """What was measured on how many rows, and where the prediction comes from."""
    curve = section(section(results, "theory"), "learning_curve")
    ridge, rows, repeats = (number(curve.get(key)) or 0.0 for key in ("ridge", "test_rows", "repeats"))
    return (
        f"Learning curve. Measured: kernel regression (ridge {ridge:g}) on random subsets of the training rows, "
        f"{repeats:.0f} per size, scored on {rows:,.0f} held-out rows; bars are one standard deviation over the "
        f"subsets. {curve.get('convention') or ''}. Predicted: the kernel eigenframework (Canatar, Bordelon & "
        "Pehlevan 2021; Simon et al. 2021) with the training rows as the population, an asymptotic theory and no "
        f"bound; {curve.get('predicted_how') or 'source not recorded'}."
    )


def data(results: Results) -> dict[str, list[Any]]:
    """Columns: n, mse, mse_spread, accuracy, accuracy_spread, predicted_mse."""
    return {name: column.tolist() for name, column in _columns(results).items()}


def _columns(results: Results) -> dict[str, NDArray[np.float64]]:
    curve = section(section(results, "theory"), "learning_curve")
    n = series(curve.get("n"))
    names = ("mse", "mse_spread", "accuracy", "accuracy_spread", "predicted_mse")
    columns = {"n": n}
    for name in names:
        found = series(curve.get(name))
        columns[name] = found if len(found) == len(n) else np.full(len(n), np.nan)
    shown = np.isfinite(n) & (n > 0) & np.isfinite(columns["mse"]) & (columns["mse"] > 0)
    columns = {name: column[shown] for name, column in columns.items()}
    return columns if len(columns["n"]) >= 2 else {}
