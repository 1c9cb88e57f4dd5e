"""The kernel a finite network's Θ tends to at initialisation as its width grows, where it is one of ours.

In ``ntk``, ``mup`` and ``mean-field`` every layer keeps its part of m^{−c} ⟨∂f/∂w, ∂f/∂w⟩, and the limit is the NTK of
``Kernel``.  In ``standard`` (c = 1) the input layer's part is 1/m of the others', and so are the biases': without
biases the limit is the NTK with a frozen input layer.  Shifting the exponents (a + θ, b − θ, c − 2θ) changes nothing.
"""

from __future__ import annotations

from ntkdist.kernels.finite_width.network import Architecture
from ntkdist.kernels.finite_width.parameterization import PRESETS
from ntkdist.kernels.kernel import Kernel


def limit_kernel(architecture: Architecture) -> Kernel | None:
    """The limit of Θ at initialisation, or None where it is not known in closed form here."""
    abc = architecture.abc
    shifted = abc.shifted(-abc.a[0])
    same = [
        name
        for name, make in PRESETS.items()
        if (other := make(architecture.depth).shifted(-make(architecture.depth).a[0])).a == shifted.a
        and (other.b, other.c) == (shifted.b, shifted.c)
    ]
    if {"ntk", "mup", "mean-field"} & set(same):
        return architecture.infinite()
    if "standard" in same and not architecture.sigma_b and not architecture.first_bias:
        whole = architecture.infinite()
        return Kernel.from_spec({**whole.spec(), "first_frozen": True}, architecture.allow_import)
    return None
