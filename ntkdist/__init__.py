"""Exact Neural Tangent Kernel analysis of real datasets, at any scale.

>>> import ntkdist as ntk
>>> gram = ntk.gram(x, ntk.Kernel(depth=3))
>>> ntk.spectrum(gram).lambda_min
"""

from __future__ import annotations

__version__ = "0.1.0"

from ntkdist.api import Theory, gram, open, solve, spectrum, theory
from ntkdist.errors import NtkdistError
from ntkdist.kernels import Kernel, Layer

__all__ = [
    "Kernel",
    "Layer",
    "NtkdistError",
    "Theory",
    "__version__",
    "gram",
    "open",
    "solve",
    "spectrum",
    "theory",
]
