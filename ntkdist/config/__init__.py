"""The typed configuration of one run: one YAML file, every field overridable."""

from ntkdist.config.load import apply_overrides, load_config, parse_config
from ntkdist.config.models import (
    AnyKernelConfig,
    ClusterConfig,
    ConvKernelConfig,
    DataConfig,
    EmpiricalKernelConfig,
    ExponentsConfig,
    GramConfig,
    KernelConfig,
    LayerConfig,
    RunConfig,
    SolveConfig,
    SpectrumConfig,
    TheoryConfig,
    WidthsConfig,
)
from ntkdist.config.schema import json_schema, shipped_schema

__all__ = [
    "AnyKernelConfig",
    "ClusterConfig",
    "ConvKernelConfig",
    "DataConfig",
    "EmpiricalKernelConfig",
    "ExponentsConfig",
    "GramConfig",
    "KernelConfig",
    "LayerConfig",
    "RunConfig",
    "SolveConfig",
    "SpectrumConfig",
    "TheoryConfig",
    "WidthsConfig",
    "apply_overrides",
    "json_schema",
    "load_config",
    "parse_config",
    "shipped_schema",
]
