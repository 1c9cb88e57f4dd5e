"""What depth does to one's own kernel on one's own data: f(cos θ), fixed point, χ₁, and the spectrum for growing L.

The spectrum is that of the Gram matrix of a subsample: m rows at equal steps through the training rows, in the
order of the dataset.  Eigenvalues of a subsample are not those of the whole; what carries over is how they move
with L.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.config import RunConfig
from ntkdist.errors import InputError, NtkdistError
from ntkdist.kernels import Kernel
from ntkdist.kernels.depth import correlation_fixed_point, depth_profile, tiles_by_depth
from ntkdist.kernels.tile import check_rows, prepare
from ntkdist.pipeline.prepare import Prepared
from ntkdist.pipeline.prepare import prepare as prepare_run

DEPTHS = (1, 2, 3, 5, 10, 20, 50)
ROWS = 400
ANGLES = 61


def depth_analysis(config: RunConfig, depths: tuple[int, ...] = DEPTHS, rows: int = ROWS) -> dict[str, Any]:
    """Return the analysis as plain JSON values.

    Raises
    ------
    InputError
        A kernel that is not fully connected, or a depth or number of rows that makes no sense.
    """
    if not depths or min(depths) < 1 or len(set(depths)) < len(depths):
        raise InputError("depths must be different whole numbers, 1 or more")
    if rows < 2:
        raise InputError("rows must be 2 or more: the spectrum of one row says nothing")
    depths = tuple(sorted(depths))
    prepared = prepare_run(config)
    kernel = prepared.kernel
    if not isinstance(kernel, Kernel):
        raise InputError("the analysis of depth is for fully connected kernels (kernel.type: dense)")
    which = config.kernel.which
    kernel.check_which(which)
    x = subsample(prepared, rows)
    lengths = prepare(kernel, check_rows(x, "x")).lengths
    q = float(np.median(lengths))
    cosines = np.cos(np.linspace(np.pi, 0.0, ANGLES))
    profile = depth_profile(kernel, depths, cosines, q)
    tiles = tiles_by_depth(kernel, x, x, depths, which)
    return {
        "kernel": str(kernel),
        "fingerprint": kernel.fingerprint,
        "which": which,
        "source": config.data.path,
        "rows": int(x.shape[0]),
        "training_rows": len(prepared.split.train),
        "rule": f"{x.shape[0]} training rows at equal steps in the order of the dataset",
        "squared_length": q,
        "depths": list(depths),
        "cosines": cosines.tolist(),
        "ntk": [[_number(v) for v in row] for row in profile.ntk],
        "nngp": [[_number(v) for v in row] for row in profile.nngp],
        "correlation": correlation(kernel, q + kernel.first_bias**2),
        "spectra": [spectrum_of(tile, depth, kernel, which) for depth, tile in zip(depths, tiles, strict=True)],
    }


def subsample(prepared: Prepared, rows: int) -> NDArray[np.float64]:
    """Return at most ``rows`` training rows at equal steps, (m, d), as the run would normalise them."""
    train = prepared.split.train
    m = min(rows, len(train))
    chosen = np.sort(np.asarray(train))[np.unique(np.round(np.linspace(0, len(train) - 1, m)).astype(np.int64))]
    parts, step = [], prepared.config.data.block_rows
    for start in range(0, prepared.source.n, step):
        inside = chosen[(chosen >= start) & (chosen < start + step)]
        if inside.size:
            block = prepared.source.rows(start, min(prepared.source.n, start + step))
            parts.append(prepared.finished_block(block[inside - start], inside))
    return np.concatenate(parts).astype(np.float64)


def correlation(kernel: Kernel, q: float) -> dict[str, Any]:
    """Return the fixed point of ρ and χ₁ of the repeated layer, or why there is none."""
    if len(set(kernel.layers)) > 1:
        return {"reason": "the layers differ, so no single map is repeated"}
    try:
        found = correlation_fixed_point(kernel.layers[0], q)
    except NtkdistError as error:
        return {"reason": str(error)}
    return {
        "rho": found.rho, "chi_1": found.chi, "squared_length": found.q, "phase": found.phase, "layers": found.steps,
    }  # fmt: skip


def spectrum_of(tile: NDArray[np.float64], depth: int, kernel: Kernel, which: str) -> dict[str, Any]:
    """Return eigenvalues relative to the mean diagonal entry, and how far rounding lets them be known."""
    values = np.linalg.eigvalsh(tile)
    scale = float(np.trace(tile)) / tile.shape[0]
    if not scale > 0:
        raise InputError(f"the {which} kernel of depth {depth} is zero on these rows")
    relative = values[::-1] / scale
    deep = kernel.entry_error("float64", which).relative * depth / kernel.depth * tile.shape[0]
    # eigvalsh is backward stable: a few n·u of the norm; plus the entries' own error (Weyl).
    resolution = float(tile.shape[0] * 2.3e-16 * relative[0] + deep)
    return {
        "depth": depth,
        "mean_diagonal": scale,
        "lambda_max": float(relative[0]),
        "lambda_min": float(relative[-1]),
        "resolution": resolution,
        "condition": float(relative[0] / relative[-1]) if relative[-1] > resolution else None,
        "top_share": float(relative[0] / tile.shape[0]),
        "effective_rank": float(np.sum(relative) ** 2 / np.sum(relative**2)),
        "eigenvalues": relative.tolist(),
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
