"""Tiles on a CUDA device: compile ``cuda_source`` once per image size, launch one block a pair of images.

Used wherever CuPy finds a device in the process and the architecture is one the device kernel covers; otherwise tiles
are computed on the CPU.  The first tile of each compiled kernel is compared with the CPU on a corner, so that a wrong
compiler, driver or device is told before it fills a store.
"""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import ChecksFailed
from ntkdist.kernels.conv.cuda import WARPS, cuda_source, device_scalars, supported
from ntkdist.kernels.conv.run_stage import layer_scalars

if TYPE_CHECKING:
    from ntkdist.kernels.conv.kernel import ConvKernel
    from ntkdist.kernels.conv.tables import Images

# Relative to the largest entry; above the rounding of either side, far below a wrong result.
_AGREEMENT = {"float32": 1e-4, "float64": 1e-10}


@lru_cache(maxsize=1)
def cupy_with_device() -> Any:
    """Return CuPy where it is installed and finds a device, else None."""
    try:
        cupy = importlib.import_module("cupy")
    except ImportError:
        return None
    return cupy if cupy.cuda.is_available() else None


def covers(kernel: ConvKernel) -> bool:
    """Whether this process has a device, and its kernel covers the architecture."""
    parts = kernel.stages_for()
    return supported(parts[0].width, len(parts), kernel.residual) and cupy_with_device() is not None


@lru_cache(maxsize=8)
def _compiled(dtype: str, filter_size: int, height: int, width: int, warps: int) -> Any:
    cupy = cupy_with_device()
    source = cuda_source(dtype, filter_size, height, width, warps)
    return cupy.RawKernel(source, "cntk", options=("-prec-sqrt=false",), backend="nvrtc")


def device_sums(kernel: ConvKernel, left: Images, right: Images) -> NDArray[np.float64]:
    """Return the sums over positions of K and T of all pairs, (n1, n2, 2) float64, computed on the device."""
    cupy = cupy_with_device()
    (stage,) = kernel.stages_for()
    dtype, channels = left.x.dtype, left.x.shape[2]
    displacements = stage.height * stage.width if kernel.readout == "gap" else 1
    warps = min(WARPS, displacements)
    arrays = [left.x, right.x, left.a[0], left.s[0], right.a[0], right.s[0]]
    on_device = [cupy.asarray(np.ascontiguousarray(array)) for array in arrays]
    n1, n2 = len(left.x), len(right.x)
    sums = cupy.empty((n1, n2, 2), cupy.float64)
    scalars = device_scalars(layer_scalars(kernel, stage, channels, dtype.name))
    counts = [np.int32(channels), np.int32(kernel.depth), np.int32(displacements), np.int64(n2)]
    run = _compiled(dtype.name, kernel.filter, stage.height, stage.width, warps)
    run((n2, n1), (32 * warps,), (*on_device, *scalars, *counts, sums))
    return np.asarray(cupy.asnumpy(sums))


_CHECKED: set[tuple[str, str]] = set()


def check_once(kernel: ConvKernel, dtype: str, device: NDArray[Any], cpu: NDArray[Any]) -> None:
    """Compare a corner of the first tile, computed on both sides; raises ``ChecksFailed`` where they differ."""
    difference, largest = float(np.abs(device - cpu).max()), float(np.abs(cpu).max())
    if not difference <= _AGREEMENT[dtype] * largest:
        raise ChecksFailed(
            f"The CUDA device computes {kernel} in {dtype} with a difference of {difference:.2g} (largest entry "
            f"{largest:.2g}) from the CPU; do not use this device, driver or compiler."
        )
    _CHECKED.add((kernel.fingerprint, dtype))


def is_checked(kernel: ConvKernel, dtype: str) -> bool:
    """Whether this process has compared the kernel on its device already."""
    return (kernel.fingerprint, dtype) in _CHECKED
