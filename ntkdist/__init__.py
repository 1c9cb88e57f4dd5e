"""Exact Neural Tangent Kernel analysis of real datasets, at any scale.

>>> import ntkdist as ntk
>>> gram = ntk.gram(x, ntk.Kernel(depth=3))
>>> ntk.spectrum(gram).lambda_min
"""

from __future__ import annotations

__version__ = "0.1.0"

from typing import TYPE_CHECKING, Any

from ntkdist.api import Theory, append, gram, open, solve, spectrum, theory
from ntkdist.errors import NtkdistError
from ntkdist.kernels import ConvKernel, Kernel, Layer

if TYPE_CHECKING:
    from ntkdist.estimators import NTKClassifier, NTKGPKernel, NTKRegressor

__all__ = [
    "ConvKernel",
    "Kernel",
    "Layer",
    "NTKClassifier",
    "NTKGPKernel",
    "NTKRegressor",
    "NtkdistError",
    "Theory",
    "__version__",
    "append",
    "gram",
    "open",
    "solve",
    "spectrum",
    "theory",
]


def __getattr__(name: str) -> Any:
    """The estimators, imported when first asked for: scikit-learn takes a second to load."""
    if name in ("NTKClassifier", "NTKGPKernel", "NTKRegressor"):
        from ntkdist import estimators

        return getattr(estimators, name)
    raise AttributeError(f"module 'ntkdist' has no attribute {name!r}")
