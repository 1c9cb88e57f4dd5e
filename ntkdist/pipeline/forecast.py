"""Hours of a run from its size and the rates of its workers: a forecast, good to a factor of about two.

Pass counts are those of preconditioned solvers on image data (about 5 a decade of residual for the weights, 21
and 50 for the two ends of the spectrum); low-dimensional data need fewer with a sparse preconditioner, hard ones
more. Computing and writing tiles overlap, as do reading and multiplying them; computing and multiplying do not.
"""

from __future__ import annotations

import math
from typing import Any

from ntkdist.pipeline.calibrate import Rates

SPECTRUM_COLUMNS = 8
_LARGEST_PASSES, _SMALLEST_PASSES, _PASSES_A_DECADE = 21, 50, 5


def passes(rtol: float) -> dict[str, int]:
    """Predicted passes K·V of the spectrum and of the weights."""
    decades = -math.log10(min(max(rtol, 1e-16), 0.1))
    return {"spectrum": _LARGEST_PASSES + _SMALLEST_PASSES, "solve": math.ceil(_PASSES_A_DECADE * decades)}


def pass_seconds(entries: float, itemsize: int, mode: str, rates: Rates) -> float:
    """Seconds of one pass in a mode."""
    multiply = entries / rates.product
    if mode == "streamed":
        return max(multiply, entries * itemsize / rates.read)
    return multiply + entries / rates.tile if mode == "recomputed" else multiply


def choose_mode(entries: float, itemsize: int, memory: float, rates: Rates) -> str:
    """The mode ``auto`` is expected to pick."""
    if entries * itemsize <= memory:
        return "resident"
    return min(("streamed", "recomputed"), key=lambda mode: pass_seconds(entries, itemsize, mode, rates))


def forecast(
    *,
    n: int,
    entries: float,
    itemsize: int,
    stored: bool,
    mode: str,
    rank: int,
    rtol: float,
    rigorous: bool,
    rates: Rates,
) -> dict[str, Any]:
    """Seconds by stage, and of the whole run."""
    count = passes(rtol)
    one = pass_seconds(entries, itemsize, mode, rates)
    computing, writing = entries / rates.tile, entries * itemsize / rates.write
    seconds = {
        "gram": max(computing, writing) if stored else 0.0,
        "preconditioner": 6.0 * n * rank**2 / rates.gemm,
        "spectrum": count["spectrum"] * one,
        "certificate": n**3 / 3 / rates.gemm if rigorous else 0.0,
        "solve": count["solve"] * one,
    }
    return {"passes": count, "pass_seconds": one, "seconds": seconds, "hours": sum(seconds.values()) / 3600}
