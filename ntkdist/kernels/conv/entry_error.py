"""How far an entry of a convolutional kernel may be from the exact one.

The worst case is the cusp: at positions whose patches are nearly equal, a rounding error η of the correlation opens
the angle by √(2η), which lowers κ₀ by √(2η)/π in every layer.  Natural images have few such positions, so this bound
is far above what is measured; it holds for any images.
"""

from __future__ import annotations

import numpy as np

from ntkdist.kernels.conv.pointwise import ROUNDING_PER_LAYER, SNAP
from ntkdist.kernels.error import EntryError


def conv_entry_error(dtype: str, depth: int, which: str) -> EntryError:
    """Return the a-priori bound for ``depth`` layers computed in ``dtype``."""
    unit = float(np.finfo(dtype).eps) / 2
    # η grows by the rounding of one layer (the box sum, the polynomial and the products), and so does what is snapped.
    noise = [(SNAP[dtype] + 2 * ROUNDING_PER_LAYER * layer) * unit for layer in range(1, depth + 1)]
    smooth = 4 * sum(noise)
    if which == "nngp":
        return EntryError(smooth, dtype, f"a-priori: smooth in the correlations, u = {unit:.2g}")
    cusp = sum(layer * (2 * eta) ** 0.5 / np.pi for layer, eta in enumerate(noise, 1)) / (depth + 1)
    return EntryError(
        float(cusp + smooth), dtype, f"a-priori: every patch at the cusp, √(2η)/π a layer, η from u = {unit:.2g}"
    )
