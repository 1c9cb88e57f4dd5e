"""What the kernel predicts on rows it has not seen, beside the rows it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ntkdist.report.quantity import count
from ntkdist.report.reading import Results, items, number, section
from ntkdist.report.rows import Row, row
from ntkdist.report.value import format_ends, format_value, significant

_NAMES = {
    "mse": ("Mean squared error", "mean over rows and outputs, targets as encoded"),
    "rmse": ("Root mean squared error", "over rows and outputs, in the unit of the targets as encoded"),
    "r2": ("R²", "1 − MSE/variance"),
    "accuracy": ("Accuracy", "share of rows whose largest output is their class"),
}


def prediction_rows(results: Results) -> tuple[Row, ...]:
    """Held-out and training scores; an accuracy has its 95% Wilson interval."""
    predictions = section(results, "predictions")
    if not predictions:
        return ()
    rows = [row("Held-out rows", count(predictions.get("n_test")))]
    for label, key in (("test", "metrics"), ("training", "train_metrics")):
        rows += _scores(label, section(predictions, key))
    rows += _scores("test, NNGP", section(predictions, "nngp_metrics"))
    rows += _distributions(section(predictions, "side_by_side"))
    return tuple(rows)


def _distributions(sides: Mapping[str, Any]) -> list[Row]:
    """Posterior and ensemble: mean variance, calibration or coverage."""
    rows = []
    held = count(sides.get("variance_rows"))
    for key, name in (("nngp", "NNGP posterior"), ("ensemble", "NTK ensemble, trained to the end")):
        found = section(sides, key)
        variance = number(found.get("mean_variance"))
        if variance is None:
            continue
        lower, upper = number(found.get("lower")), number(found.get("upper"))
        ends = ", ".join(part for part in (format_ends(lower, upper), str(found.get("grade") or "")) if part)
        note = f"of one output, mean over {held} held-out rows"
        rows.append(row(f"{name}: variance", format_value(variance, lower, upper, ends=False), ends, note))
        error, observed = number(found.get("calibration_error")), number(found.get("coverage"))
        if error is not None:
            rows.append(row(f"{name}: calibration error", significant(error, 3), note="expected, ten bins"))
        if observed is not None:
            told = f"promised {100 * (number(found.get('promised')) or 0):.1f}%"
            rows.append(row(f"{name}: targets within two deviations", f"{100 * observed:.1f}%", note=told))
    if sides.get("note"):
        rows.append(row("Not computed", "–", note=sides["note"]))
    return rows


def _scores(label: str, metrics: Mapping[str, Any]) -> list[Row]:
    rows = []
    for key, value in metrics.items():
        if key == "correct" or key.endswith("_interval"):
            continue
        name, note = _NAMES.get(key, (str(key), ""))
        found = number(value)
        shown = "unresolved" if found is None else significant(found, 4)
        error = ""
        if key == "accuracy" and found is not None:
            ends = [number(v) for v in items(metrics.get("accuracy_interval"))]
            right = number(metrics.get("correct"))
            shown = f"{100 * found:.2f}%" + (f" ({count(right)} right)" if right is not None else "")
            if len(ends) == 2 and ends[0] is not None and ends[1] is not None:
                error = f"[{100 * ends[0]:.2f}%, {100 * ends[1]:.2f}%], 95% Wilson" if label == "test" else ""
        rows.append(row(f"{name}, {label}", shown, error, note))
    return rows
