"""Reading the results document, which may be half finished or come from a store somebody sent.

Nothing in it is trusted to be of the right type: what is not a number reads as ``None``, what is not a list
of finite numbers as no series, and a section that is absent as an empty mapping. What is missing is then
*said* by :func:`missing`, never guessed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Results = Mapping[str, Any]

STAGES = {
    "data": "the dataset was not read",
    "kernel": "the kernel is not recorded",
    "gram": "the Gram matrix was not started",
    "spectrum": "λ_min and λ_max were not computed",
    "solution": "the regression weights were not solved for",
    "theory": "no rate, step or bound was derived",
    "predictions": "the held-out rows were not predicted",
}
"""The stages a finished run has, with what is unknown without each."""


def section(results: Results, name: str) -> Mapping[str, Any]:
    """A section of the document, empty if absent."""
    found = results.get(name)
    return found if isinstance(found, Mapping) else {}


def number(value: object) -> float | None:
    """``value`` as a finite float; None for anything else, booleans included."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def items(value: object) -> list[Any]:
    """``value`` as a list; empty for anything that is not one."""
    return list(value) if isinstance(value, list | tuple) else []


def series(value: object) -> NDArray[np.float64]:
    """A list of numbers as (n,) float64, with NaN where an entry is not a finite number."""
    return np.array([math.nan if (v := number(x)) is None else v for x in items(value)], dtype=np.float64)


def matrix(value: object) -> NDArray[np.float64] | None:
    """A square list of lists as (n, n) float64; None if it is empty, ragged or holds what is not a number."""
    rows = [series(row) for row in items(value)]
    if not rows or any(len(row) != len(rows) for row in rows):
        return None
    found = np.stack(rows)
    return found if bool(np.isfinite(found).all()) else None


def missing(results: Results) -> list[str]:
    """What the run has not computed yet, as sentences; empty for a finished run."""
    sentences = []
    if section(results, "widths") and not section(results, "spectrum") and not finished_tiles(results):
        return ["run: this is a width study; ntkdist run with the same configuration computes the Gram matrix"]
    for name, consequence in STAGES.items():
        if section(results, name):
            continue
        if name == "predictions" and section(results, "data").get("n_test") == 0:
            continue
        sentences.append(f"{name}: {consequence}")
    gram = section(results, "gram")
    done, tiles = finished_tiles(results), number(gram.get("tiles"))
    recomputed = gram.get("mode") == "recomputed"
    if done is not None and tiles is not None and done < tiles and not recomputed:
        sentences.append(f"gram: {done:.0f} of {tiles:.0f} tiles are computed")
    if section(results, "solution").get("converged") is False:
        sentences.append("solution: the solver stopped before it reached its tolerance")
    if results.get("complete") is False and not sentences:
        sentences.append("run: it is not marked as complete")
    return sentences


def finished_tiles(results: Results) -> float | None:
    """Tiles with a receipt, however the document counts them."""
    gram = section(results, "gram")
    done = number(gram.get("finished_tiles"))
    if done is not None:
        return done
    parts = [number(gram.get(key)) for key in ("computed_tiles", "reused_tiles")]
    known = [part for part in parts if part is not None]
    return sum(known) if known else None
