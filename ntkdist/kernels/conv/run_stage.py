"""Call the compiled pass of one stage with the scalars its layers need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ntkdist.kernels.conv.architecture import Stage
from ntkdist.kernels.conv.row_pass import LANES, top, width_class
from ntkdist.kernels.conv.stage_pass import stage_pass

if TYPE_CHECKING:
    from ntkdist.kernels.conv.kernel import ConvKernel
    from ntkdist.kernels.conv.tables import Images

Array = NDArray[Any]


class StageResult(NamedTuple):
    """Sums over positions (n, 2, LANES) float64 of K and T, or the pooled fields of the next stage."""

    sums: NDArray[np.float64]
    fields: Array | None


def layer_scalars(kernel: ConvKernel, stage: Stage, channels: int, dtype: str) -> Array:
    """Return (layers, 11): b²/w for K and T, c₂/c₁, w c₁, w c₂, train, 1 − snap, keep, 1, first train, input scale."""
    c1, c2 = kernel.rectifier
    w, bias = kernel.weight, kernel.sigma_b**2 / kernel.weight
    rows = []
    for level in range(stage.first, stage.first + stage.depth):
        frozen = level == 0 and kernel.first_frozen
        train = 0.0 if level == kernel.depth - 1 and kernel.last_frozen else 1.0
        rows.append(
            [bias, 0.0 if frozen else bias, c2 / c1, w * c1, w * c2, train, top(dtype, level), kernel.keeps(level), 1.0,
             0.0 if kernel.first_frozen else 1.0, kernel.input_scale(channels)]
        )  # fmt: skip
    return np.array(rows, dtype)


def run_stage(
    kernel: ConvKernel,
    parts: Sequence[Stage],
    stage: Stage,
    left: Images,
    right: Images,
    start: Array | None,
) -> StageResult:
    """Run ``stage`` of ``parts`` for all images of ``left`` with the lanes of ``right``; ``start`` as in stage_pass."""
    number = list(parts).index(stage)
    dtype = right.x.dtype
    lanes = LANES[dtype.name]
    run = stage_pass(dtype.name, kernel.filter, width_class(stage.width), kernel.residual)
    shifts = np.array(stage.shifts, np.int64)
    sums = np.zeros((len(left.a[number]), 2, lanes))
    fields: Array = np.zeros((0, 2, 0, 0), dtype)
    where = np.zeros((0, 0), np.int64)
    if stage.pooled:
        after = parts[number + 1]
        fields = np.zeros((len(after.shifts), 2, after.height, after.width * lanes), dtype)
        where = np.full((2 * after.height + 1, 2 * after.width + 1), -1, np.int64)
        for place, (dy, dx) in enumerate(after.shifts):
            where[dy + after.height, dx + after.width] = place
    empty = np.zeros((0, 2, 0, 0), dtype)
    run(
        left.x, right.x[0], empty if start is None else start, np.arange(len(shifts)),
        left.a[number], left.s[number], right.a[number][0], right.s[number][0],
        shifts, layer_scalars(kernel, stage, left.x.shape[2], dtype.name), sums, fields, where,
    )  # fmt: skip
    return StageResult(sums, fields if stage.pooled else None)
