"""The kernel a configuration describes."""

from __future__ import annotations

from typing import Any

from ntkdist.config import KernelConfig
from ntkdist.kernels import Kernel, Layer, TileKernel


def build_kernel(config: KernelConfig) -> TileKernel:
    """Build the kernel of a configuration.

    Raises
    ------
    InputError
        Unknown activation, or parameters no kernel has.
    """
    given: dict[str, Any] = config.model_dump(exclude_none=True, exclude={"which", "layers"})
    if config.layers is not None:
        given["layers"] = [Layer(**layer.model_dump(exclude_none=True)) for layer in config.layers]
    return Kernel(**given)
