"""The kernel a configuration describes, bound to the shape of its examples, and what it may cost."""

from __future__ import annotations

from math import prod
from typing import Any

from ntkdist.config import AnyKernelConfig, ConvKernelConfig, EmpiricalKernelConfig, ExponentsConfig, RunConfig
from ntkdist.errors import InputError
from ntkdist.kernels import ConvKernel, Kernel, Layer, TileKernel
from ntkdist.kernels.finite_width import (
    Architecture,
    EmpiricalKernel,
    Parameterization,
    TorchKernel,
    parameterization,
)

# Measured: the convolutional pass does 10–17 Gflop/s on one core (benchmarks/RESULTS-cntk.md).
_FLOPS_PER_CORE_SECOND = 1e10


def build_kernel(config: AnyKernelConfig) -> TileKernel:
    """Build the kernel of a configuration.

    Raises
    ------
    InputError
        Unknown activation, or parameters no kernel has.
    """
    if isinstance(config, EmpiricalKernelConfig):
        return _empirical(config)
    if isinstance(config, ConvKernelConfig):
        return ConvKernel(**config.model_dump(exclude_none=True, exclude={"type", "which", "max_core_hours"}))
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


def kernel_for(config: RunConfig, shape: tuple[int, ...]) -> TileKernel:
    """Build the kernel for examples of ``shape`` as the dataset holds them, or of ``data.image_shape``.

    Raises
    ------
    InputError
        The architecture cannot take such examples.
    """
    named, features = config.data.image_shape, prod(shape)
    if named is not None and prod(named) != features:
        raise InputError(f"data.image_shape is {list(named)}, but a row of {config.data.path} has {features} features.")
    kernel = build_kernel(config.kernel)
    return kernel.for_inputs((named or shape) if isinstance(config.kernel, ConvKernelConfig) else (features,))


def core_hours(kernel: TileKernel, n: int, features: int) -> float:
    """Predicted hours of one CPU core for the lower triangle of an (n, n) Gram matrix."""
    return kernel.work(1, 1, features) * n * (n + 1) / 2 / _FLOPS_PER_CORE_SECOND / 3600


def refuse_beyond_limit(config: RunConfig, kernel: TileKernel, n: int, features: int) -> None:
    """Refuse a convolutional Gram matrix that is predicted to exceed ``kernel.max_core_hours``."""
    if not isinstance(config.kernel, ConvKernelConfig):
        return
    hours, limit = core_hours(kernel, n, features), config.kernel.max_core_hours
    if hours > limit:
        raise InputError(
            f"This Gram matrix is predicted to take {hours:,.3g} core hours, above kernel.max_core_hours = {limit:,g}: "
            "raise the limit, use fewer layers, rows or pixels, or readout flatten."
        )
