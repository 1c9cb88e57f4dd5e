"""What depends on one image alone: the diagonal q of every layer and the two tables the pairs read.

The diagonal follows its own recursion, q ← w·(box sum of φ's second moment) + σ_b², in float64.  Behind a pooling it
needs the covariances of neighbouring positions of the same image: these come from the pairs' own pass, with each
lane paired with itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.kernels.conv.architecture import Stage, stages
from ntkdist.kernels.conv.row_pass import LANES
from ntkdist.kernels.conv.run_stage import run_stage

if TYPE_CHECKING:
    from ntkdist.kernels.conv.kernel import ConvKernel

Array = NDArray[Any]


@dataclass(frozen=True)
class Images:
    """Images (n, h, c, w) and, for each stage, the tables a and s (n, layers, h, w), in the dtype of the images."""

    x: Array
    a: tuple[Array, ...]
    s: tuple[Array, ...]

    def part(self, rows: slice) -> Images:
        """Some of the images."""
        return Images(self.x[rows], tuple(a[rows] for a in self.a), tuple(s[rows] for s in self.s))

    def flipped(self) -> Images:
        """The mirror images; their tables are the mirrored tables."""

        def mirror(v: Array) -> Array:
            return np.ascontiguousarray(v[..., ::-1])

        return Images(mirror(self.x), tuple(map(mirror, self.a)), tuple(map(mirror, self.s)))

    def astype(self, dtype: Any) -> Images:
        """The images and tables in another precision."""
        return Images(
            self.x.astype(dtype), tuple(a.astype(dtype) for a in self.a), tuple(s.astype(dtype) for s in self.s)
        )

    def lanes(self, dtype: str) -> Images:
        """At most ``LANES`` images side by side: x (1, h, c, w·LANES) and tables (1, layers, h, w·LANES)."""

        def beside(v: Array) -> Array:
            full = np.zeros((LANES[dtype], *v.shape[1:]), v.dtype)
            full[: len(v)] = v
            moved = np.moveaxis(full, 0, -1)
            return np.ascontiguousarray(moved.reshape(1, *moved.shape[:-2], -1))

        return Images(beside(self.x), tuple(map(beside, self.a)), tuple(map(beside, self.s)))


def box(v: Array, filter_size: int) -> Array:
    """Sum over the filter around each position of (…, h, w), zeros outside."""
    half = filter_size // 2
    padded = np.pad(v, [(0, 0)] * (v.ndim - 2) + [(half, half)] * 2)
    h, w = v.shape[-2:]
    rows = np.sum([padded[..., a : a + h, :] for a in range(filter_size)], axis=0)
    return np.asarray(np.sum([rows[..., b : b + w] for b in range(filter_size)], axis=0))


def stage_tables(kernel: ConvKernel, stage: Stage, start: Array) -> tuple[Array, Array]:
    """Return a and s of a stage, (n, layers, h, w) float64, from the second moments (n, h, w) that enter it."""
    w, moment = kernel.weight, start
    c1, c2 = kernel.rectifier
    a = np.empty((len(start), stage.depth, stage.height, stage.width))
    s = np.empty_like(a)
    stream = np.zeros_like(start)
    for level in range(stage.depth):
        q = w * box(moment, kernel.filter) + kernel.sigma_b**2 + kernel.keeps(stage.first + level) * stream
        stream, moment = q, (c1 + c2) * q
        # An empty patch has no correlation: a = 0 makes it 0 without a branch.
        a[:, level] = np.divide(w**0.5, np.sqrt(q), out=np.zeros_like(q), where=q > 0)
        s[:, level] = np.sqrt(c1 * q)
    return a, s


def image_tables(kernel: ConvKernel, x: Array) -> Images:
    """Return the images with their tables in float64; ``x`` is (n, h, c, w) float64."""
    height, width = x.shape[1], x.shape[3]
    parts = stages(kernel.depth, kernel.pool_after, "flatten", height, width)
    start = (x * x).sum(axis=2) * kernel.input_scale(x.shape[2])
    a, s = stage_tables(kernel, parts[0], start)
    tables_a, tables_s = [a], [s]
    if len(parts) > 1:
        later = _later_tables(kernel, parts, Images(x, (a,), (s,)))
        tables_a += [t[0] for t in later]
        tables_s += [t[1] for t in later]
    return Images(x, tuple(tables_a), tuple(tables_s))


def _later_tables(kernel: ConvKernel, parts: Sequence[Stage], images: Images) -> list[tuple[Array, Array]]:
    count, lanes = len(images.x), LANES["float64"]
    blocks: list[list[tuple[Array, Array]]] = []
    for first in range(0, count, lanes):
        ready = images.part(slice(first, min(first + lanes, count)))
        fields, found = None, []
        for stage, following in pairwise(parts):
            beside = ready.lanes("float64")
            fields = run_stage(kernel, parts, stage, beside, beside, fields).fields
            assert fields is not None
            moment = fields[following.shifts.index((0, 0)), 0].reshape(following.height, following.width, lanes)
            start = np.ascontiguousarray(np.moveaxis(moment, -1, 0)[: len(ready.x)])
            tables = stage_tables(kernel, following, start)
            found.append(tables)
            ready = Images(ready.x, (*ready.a, tables[0]), (*ready.s, tables[1]))
        blocks.append(found)
    return [
        (np.concatenate([b[k][0] for b in blocks]), np.concatenate([b[k][1] for b in blocks]))
        for k in range(len(parts) - 1)
    ]
