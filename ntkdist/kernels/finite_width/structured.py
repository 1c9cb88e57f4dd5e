"""The empirical NTK of a fully connected network without a Jacobian.

The gradient of f_k(x) with respect to w^l is c_l D_l^k(x) ⊗ A_{l−1}(x), an outer product, so

    ⟨∂f_k(x)/∂θ, ∂f_k'(x′)/∂θ⟩ = Σ_l [c_l² A_{l−1}(x)·A_{l−1}(x′) + β_l²] · [D_l^k(x)·D_l^{k'}(x′)]

exactly, for any weights.  For n rows: one forward and one backward pass (≈ 4 n k Σ m_l m_{l−1} flops) and two n × n
products per layer, instead of a Jacobian with n k P entries.  The kernel of the training dynamics under a step
η m^{−c} is m^{−c} times this, and that is what is returned; in the NTK parameterization c = 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from ntkdist.errors import InputError
from ntkdist.kernels.finite_width.network import Network

Array = NDArray[Any]


@dataclass(frozen=True)
class Features:
    """What the kernel needs of n rows: A_0 … A_L (n, m_l), D_1 … D_L (n, k, m), and f (n, k)."""

    activations: tuple[Array, ...]
    sensitivities: tuple[Array, ...]
    f: Array

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(a.nbytes for a in (*self.activations, *self.sensitivities, self.f))


def features(network: Network, x: Array) -> Features:
    """Forward and backward pass of rows x (n, d)."""
    forward = network.forward(x)
    return Features(forward.activations, network.sensitivities(forward), forward.f)


def structured_ntk(network: Network, rows: Features, columns: Features, output: str | int = "mean") -> Array:
    """Θ of rows × columns from their features.

    ``output`` is ``mean`` (the average of Θ_kk over outputs, (n1, n2)), the number of one output (n1, n2), or
    ``full`` (n1, n2, k, k).
    """
    of, d = network.architecture, network.features
    xp: Any = array_namespace(rows.f)
    k = int(rows.f.shape[1])
    full = output == "full"
    total: Any = None
    for layer in range(1, of.depth + 2):
        left, right = rows.activations[layer - 1], columns.activations[layer - 1]
        inner = left @ right.T
        inner *= of.factor(layer, d) ** 2
        inner += of.bias_factor(layer) ** 2
        if layer <= of.depth:
            outer = _outer(rows.sensitivities[layer - 1], columns.sensitivities[layer - 1], output)
            inner = inner[:, :, None, None] * outer if full else inner * outer
        elif full:
            inner = inner[:, :, None, None] * xp.eye(k, dtype=inner.dtype)
        total = inner if total is None else total + inner
    if of.abc.c:
        total *= of.step_factor
    found: Array = total
    return found


def conjugate_kernel(network: Network, rows: Features, columns: Features) -> Array:
    """The covariance of f under new output weights, σ_w² A_L A_Lᵀ/m + σ_b² in the NTK parameterization."""
    of = network.architecture
    last = of.depth + 1
    inner = rows.activations[-1] @ columns.activations[-1].T
    inner *= (of.factor(last, network.features) * of.spread(last)) ** 2
    found: Array = inner + of.sigma_b**2
    return found


def structured_diagonal(network: Network, rows: Features, output: str | int = "mean") -> Array:
    """Θ(x_i, x_i), (n,)."""
    of, d = network.architecture, network.features
    xp: Any = array_namespace(rows.f)
    total: Any = 0.0
    for layer in range(1, of.depth + 2):
        a = rows.activations[layer - 1]
        inner = of.factor(layer, d) ** 2 * xp.sum(a * a, axis=1) + of.bias_factor(layer) ** 2
        if layer <= of.depth:
            s = _chosen(rows.sensitivities[layer - 1], output)
            inner = inner * xp.sum(s * s, axis=1) * _weight(rows.sensitivities[layer - 1], output)
        total = total + inner
    found: Array = total * of.step_factor
    return found


def check_output(output: str | int, outputs: int) -> str | int:
    """Return ``output`` if a network with that many outputs has it; else raise ``InputError``."""
    if output in ("mean", "full"):
        return output
    if isinstance(output, bool) or not isinstance(output, (int, np.integer)) or not 0 <= output < outputs:
        raise InputError(f"output must be 'mean' or a number from 0 to {outputs - 1}, not {output!r}")
    return int(output)


def _outer(rows: Array, columns: Array, output: str | int) -> Array:
    if output == "full":
        (n1, k, m), n2 = rows.shape, columns.shape[0]
        blocks = rows.reshape(n1 * k, m) @ columns.reshape(n2 * k, m).T
        permute: Any = array_namespace(rows).permute_dims
        found: Array = permute(blocks.reshape(n1, k, n2, k), (0, 2, 1, 3))
        return found
    product: Array = _chosen(rows, output) @ _chosen(columns, output).T
    return product * _weight(rows, output)


def _chosen(sensitivities: Array, output: str | int) -> Array:
    if output == "mean":
        return sensitivities.reshape(sensitivities.shape[0], -1)
    return sensitivities[:, int(output), :]


def _weight(sensitivities: Array, output: str | int) -> float:
    return 1.0 / sensitivities.shape[1] if output == "mean" else 1.0
