"""What is refused before anything is computed, with the row numbers to look at."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import InputError

_NAMED = 5


def check_rows(block: NDArray[Any], start: int, what: str = "x") -> None:
    """Refuse NaN and Inf in a block whose first row has number ``start``."""
    if block.dtype.kind not in "fiub":
        raise InputError(f"{what} has dtype {block.dtype}, but must hold real numbers.")
    flat = block.reshape(len(block), -1)
    bad = np.flatnonzero(~np.isfinite(flat).all(axis=1)) + start
    if len(bad):
        first = flat[bad[0] - start]
        kind = "NaN" if np.isnan(first).any() else "Inf"
        column = int(np.flatnonzero(~np.isfinite(first))[0])
        where = _named(bad) if flat.shape[1] == 1 else f"{_named(bad)} (row {bad[0]}: column {column})"
        raise InputError(f"{what} holds {kind} in {where}; remove or mend these rows.")


def check_precision(block: NDArray[Any], numbers: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The block in the compute precision; refused where a value overflows it. ``numbers`` are the rows' own."""
    with np.errstate(over="ignore"):
        cast = np.asarray(block, dtype=dtype)
    bad = np.asarray(numbers)[~np.isfinite(cast).all(axis=1)]
    if len(bad):
        raise InputError(
            f"x (normalised) overflows {dtype.name} in {_named(bad)}; set gram.compute=float64, or scale x down."
        )
    return cast


def check_targets(block: NDArray[Any], start: int) -> None:
    """Refuse targets that are NaN, Inf, complex or objects."""
    if block.dtype.kind == "f":
        check_rows(block, start, "y")
    elif block.dtype.kind not in "iubUS":
        raise InputError(f"y has dtype {block.dtype}, but must hold numbers or class names.")


def check_lengths(n_x: int, n_y: int) -> None:
    """Refuse x and y of different length."""
    if n_x != n_y:
        raise InputError(f"x has {n_x} rows and y has {n_y}; there must be one target per row.")


def check_directions(block: NDArray[Any], row_numbers: NDArray[Any]) -> None:
    """Refuse zero rows for kernels that need a direction (after normalisation: also rows that equal the mean)."""
    flat = block.reshape(len(block), -1)
    # A row whose x·x underflows has no direction either.
    zero = np.asarray(row_numbers)[np.einsum("ij,ij->i", flat, flat) == 0]
    if len(zero):
        raise InputError(
            f"x is zero (after normalisation) in {_named(zero)}, and this kernel needs a direction: remove these "
            "rows, or give the network a bias with --set kernel.sigma_b=0.1."
        )


def _named(rows: NDArray[Any]) -> str:
    listed = ", ".join(str(int(r)) for r in rows[:_NAMED])
    more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    return f"row{'s' if len(rows) > 1 else ''} {listed}{more}"
