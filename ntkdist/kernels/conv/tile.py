"""A tile of a convolutional kernel: blocks of columns as SIMD lanes, each against all rows.

Tables are made once per image of the tile.  A tile of images with themselves computes blocks on and below the
diagonal and mirrors them; equal images get the diagonal value, which is computed in float64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import InputError
from ntkdist.kernels.blocks import share
from ntkdist.kernels.conv import device
from ntkdist.kernels.conv.row_pass import LANES
from ntkdist.kernels.conv.run_stage import run_stage
from ntkdist.kernels.conv.tables import Images, image_tables

if TYPE_CHECKING:
    from ntkdist.kernels.conv.kernel import ConvKernel

Array = NDArray[Any]
_ROWS_AT_ONCE = 256


def prepare(kernel: ConvKernel, x: Array) -> Images:
    """Return the images (n, h, w, c) as the passes want them, with their tables, in the dtype of ``x``."""
    flat = x.reshape(len(x), -1)
    with np.errstate(over="ignore", invalid="ignore"):
        fine = np.isfinite(np.einsum("ij,ij->i", flat, flat))
    if not fine.all():
        raise InputError(f"image {int(np.argmin(fine))} has a value that is not finite or too large to be squared")
    parts = []
    for first in range(0, len(x), _ROWS_AT_ONCE):
        block = np.ascontiguousarray(np.swapaxes(x[first : first + _ROWS_AT_ONCE], 2, 3), dtype=np.float64)
        parts.append(image_tables(kernel, block).astype(x.dtype))
    count = len(kernel.stages_for())
    return Images(
        np.concatenate([p.x for p in parts]),
        tuple(np.concatenate([p.a[k] for p in parts]) for k in range(count)),
        tuple(np.concatenate([p.s[k] for p in parts]) for k in range(count)),
    )


def tile(kernel: ConvKernel, x: Array, z: Array, which: str, threads: int) -> Array:
    """Return the tile; see ``ConvKernel.tile``."""
    dtype = np.result_type(x, z)
    x, z = x.astype(dtype, copy=False), z.astype(dtype, copy=False)
    mirrored = x.shape == z.shape and (x is z or x.ctypes.data == z.ctypes.data)
    out = np.zeros((len(x), len(z)), dtype)
    if not out.size:
        return out
    left = prepare(kernel, x)
    right = left if mirrored else prepare(kernel, z)
    sides = [right, right.flipped()] if kernel.flip else [right]
    lanes = LANES[dtype.name]

    if device.covers(kernel):
        out[...] = np.mean([on_device(kernel, left, side, which) for side in sides], axis=0)
        return finished(kernel, out, x, z, which, mirrored)

    def run(first: int) -> None:
        columns = slice(first, min(first + lanes, len(z)))
        rows = slice(first if mirrored else 0, len(x))
        values = [pairs(kernel, left.part(rows), side.part(columns), which) for side in sides]
        out[rows, columns] = np.mean(values, axis=0)

    share(run, range(0, len(z), lanes), threads)
    return finished(kernel, out, x, z, which, mirrored)


def finished(kernel: ConvKernel, out: Array, x: Array, z: Array, which: str, mirrored: bool) -> Array:
    """Mirror a tile whose lower triangle stands, and write the diagonal value where images are equal."""
    if mirrored:
        lower = np.tril(out)
        out = lower + np.tril(lower, -1).T
    put_equal_images(kernel, out, x, z, which)
    return out


def on_device(kernel: ConvKernel, left: Images, right: Images, which: str) -> NDArray[np.float64]:
    """Return K of all pairs from the CUDA device, (n1, n2) float64; its first tile is checked against the CPU."""
    result = _readout(kernel, device.device_sums(kernel, left, right), which)
    dtype = right.x.dtype.name
    if not device.is_checked(kernel, dtype):
        corner = pairs(kernel, left.part(slice(0, 2)), right.part(slice(0, LANES[dtype])), which)
        device.check_once(kernel, dtype, result[: corner.shape[0], : corner.shape[1]], corner)
    return result


def pairs(kernel: ConvKernel, left: Images, right: Images, which: str) -> NDArray[np.float64]:
    """Return K of every image of ``left`` with at most ``LANES`` images of ``right``, (n, len(right)) float64."""
    parts = kernel.stages_for()
    beside = right.lanes(right.x.dtype.name)
    if len(parts) == 1:
        sums = run_stage(kernel, parts, parts[0], left, beside, None).sums
    else:
        sums = np.empty((len(left.x), 2, LANES[right.x.dtype.name]))
        for i in range(len(left.x)):
            sums[i] = _through_stages(kernel, left.part(slice(i, i + 1)), beside)
    return _readout(kernel, np.swapaxes(sums, 1, 2), which)[:, : len(right.x)]


def diagonal(kernel: ConvKernel, x: Array, which: str) -> NDArray[np.float64]:
    """Return K(x_i, x_i) in float64, every lane paired with itself."""
    lanes = LANES["float64"]
    result = np.empty(len(x))
    for first in range(0, len(x), lanes):
        ready = prepare(kernel, x[first : first + lanes].astype(np.float64))
        beside = ready.lanes("float64")
        others = [beside, ready.flipped().lanes("float64")] if kernel.flip else [beside]
        sums = [_through_stages(kernel, beside, other)[0].T for other in others]
        values = [_readout(kernel, part, which) for part in sums]
        result[first : first + lanes] = np.mean(values, axis=0)[: len(ready.x)]
    return result


def _through_stages(kernel: ConvKernel, left: Images, beside: Images) -> NDArray[np.float64]:
    parts = kernel.stages_for()
    start = None
    for stage in parts:
        done = run_stage(kernel, parts, stage, left, beside, start)
        start = done.fields
    return done.sums


def _readout(kernel: ConvKernel, sums: NDArray[np.float64], which: str) -> NDArray[np.float64]:
    last = kernel.stages_for()[-1]
    count = last.height * last.width
    return np.asarray(sums[..., 1 if which == "ntk" else 0] / float(count if kernel.readout == "flatten" else count**2))


def put_equal_images(kernel: ConvKernel, out: Array, x: Array, z: Array, which: str) -> None:
    """Write the diagonal value wherever two images are equal, or mirror images under ``flip``."""
    places: dict[bytes, list[int]] = {}
    for j, image in enumerate(z):
        places.setdefault(image.tobytes(), []).append(j)
        if kernel.flip:
            mirror = np.ascontiguousarray(image[:, ::-1]).tobytes()
            if mirror != image.tobytes():
                places.setdefault(mirror, []).append(j)
    found = [(i, places[image.tobytes()]) for i, image in enumerate(x) if image.tobytes() in places]
    if not found:
        return
    values = diagonal(kernel, x[[i for i, _ in found]], which)
    for (i, columns), value in zip(found, values, strict=True):
        out[i, columns] = value
