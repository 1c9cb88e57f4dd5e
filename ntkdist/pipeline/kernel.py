"""The kernel a configuration describes."""

from __future__ import annotations

from typing import Any

from ntkdist.config import AnyKernelConfig, EmpiricalKernelConfig, ExponentsConfig
from ntkdist.kernels import Kernel, Layer, TileKernel
from ntkdist.kernels.finite_width import (
    Architecture,
    EmpiricalKernel,
    Parameterization,
    TorchKernel,
    parameterization,
)


def build_kernel(config: AnyKernelConfig) -> TileKernel:
    """Build the kernel of a configuration.

    Raises
    ------
    InputError
        Unknown activation, or parameters no kernel has.
    """
    if isinstance(config, EmpiricalKernelConfig):
        return _empirical(config)
    given: dict[str, Any] = config.model_dump(exclude_none=True, exclude={"type", "which", "layers"})
    if config.layers is not None:
        given["layers"] = [Layer(**layer.model_dump(exclude_none=True)) for layer in config.layers]
    return Kernel(**given)


def exponents(given: str | ExponentsConfig, depth: int) -> Parameterization:
    """The abc-parameterization of a configuration for ``depth`` hidden layers."""
    return parameterization(given if isinstance(given, str) else given.model_dump(), depth)


def _empirical(config: EmpiricalKernelConfig) -> TileKernel:
    if config.model is not None:
        return TorchKernel(
            config.model,
            config.seeds,
            checkpoint=config.checkpoint,
            input_shape=config.input_shape,
            output=config.output,
            method=config.method,
            memory=config.memory * 2**30,
            device=config.device,
        )
    if config.checkpoint is not None:
        return EmpiricalKernel(checkpoint=config.checkpoint, output=config.output)
    names = ("depth", "width", "outputs", "activation", "sigma_w", "sigma_b", "input_scaling")
    architecture = Architecture(
        **{name: getattr(config, name) for name in names},
        parameterization=exponents(config.parameterization, config.depth),
    )
    return EmpiricalKernel(architecture, config.seeds, output=config.output)
