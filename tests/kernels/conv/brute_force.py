"""The convolutional recursion over all pairs of positions at once, with the textbook arc cosine: slow and obvious."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.kernels import ConvKernel

Array = NDArray[Any]


def box(v: Array, q: int) -> Array:
    """Σ_a v(p + a, p′ + a) for v (h, w, h, w), zeros outside."""
    m = q // 2
    h, w = v.shape[:2]
    padded = np.zeros((h + 2 * m, w + 2 * m, h + 2 * m, w + 2 * m))
    padded[m : m + h, m : m + w, m : m + h, m : m + w] = v
    return sum(padded[a : a + h, b : b + w, a : a + h, b : b + w] for a in range(q) for b in range(q))


def pool(v: Array) -> Array:
    h, w = v.shape[0] // 2, v.shape[1] // 2
    return v.reshape(h, 2, w, 2, h, 2, w, 2).mean(axis=(1, 3, 5, 7))


def activate(kernel: ConvKernel, k: Array, q1: Array, q2: Array) -> tuple[Array, Array]:
    """E φφ′ and E φ̇φ̇′ of φ(x) = a min(x, 0) + b max(x, 0)."""
    a, b = kernel.activation.par[:2]
    scale = np.sqrt(q1[:, :, None, None] * q2[None, None])
    c = np.clip(np.divide(k, scale, out=np.zeros_like(k), where=scale > 0), -1, 1)
    # Equal and opposite patches: θ = 0 and π, which arccos of a rounded ±1 is not.
    c = np.where(1 - abs(c) < 1e-14, np.sign(c), c)
    theta = np.arccos(c)
    bend = (b - a) ** 2 / (2 * np.pi)
    first = scale * (a * b * c + bend * (np.sin(theta) + (np.pi - theta) * c))
    return first, a * b + bend * (np.pi - theta)


def layers(kernel: ConvKernel, x: Array, z: Array, diagonals: Any) -> list[tuple[Array, Array]]:
    """(K, Θ) before each activation, and after the last one at the end."""
    w, bias = kernel.sigma_w**2 / kernel.filter**2, kernel.sigma_b**2
    k = np.einsum("abc,dec->abde", x, z) * kernel.input_scale(x.shape[2])
    t = np.zeros_like(k)
    own = other = None
    if diagonals is None and x is not z:
        raise AssertionError("diagonals of two images are needed")
    found = []
    for level in range(kernel.depth):
        stream = found[-1] if found and kernel.keeps(level) else (0.0, 0.0)
        trained = not (level == 0 and kernel.first_frozen)
        image = w * box(k, kernel.filter) + bias
        t = w * box(t, kernel.filter) + (image if trained else 0.0) + stream[1]
        k = image + stream[0]
        found.append((k, t))
        own, other = (
            (np.einsum("abab->ab", k),) * 2 if diagonals is None else (diagonals[0][level], diagonals[1][level])
        )
        k, slope = activate(kernel, k, own, other)
        t = t * slope
        if level + 1 in kernel.pool_after:
            k, t = pool(k), pool(t)
    return [*found, (k, t)]


def brute_force(kernel: ConvKernel, x: Array, z: Array, which: str = "ntk") -> Array:
    """K(x_i, z_j) of images (n, h, w, c)."""

    def diagonals(image: Array) -> list[Array]:
        return [np.einsum("abab->ab", k) for k, _ in layers(kernel, image, image, None)[:-1]]

    def entry(a: Array, b: Array) -> float:
        k, t = layers(kernel, a, b, (diagonals(a), diagonals(b)))[-1]
        v = k if which == "nngp" else t + (0 if kernel.last_frozen else k)
        return float(np.einsum("abab->ab", v).mean() if kernel.readout == "flatten" else v.mean())

    def averaged(a: Array, b: Array) -> float:
        return (entry(a, b) + entry(a, b[:, ::-1])) / 2 if kernel.flip else entry(a, b)

    return np.array([[averaged(a, b) for b in z] for a in x])
