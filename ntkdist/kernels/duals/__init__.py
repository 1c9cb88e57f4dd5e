"""Dual activations: the maps (Σ₁₁, Σ₂₂, Σ₁₂) → E φ(u)φ(v) and E φ′(u)φ′(v) for (u, v) ~ N(0, Σ).

Every dual is one plain scalar function with the same signature and the same four results,

    (F, Ḟ, V′, W′) = dual(q1, q2, g1, g2, c, v, w, par, k, row1, row2, m)

where q1, q2, c are the entries of Σ, g1 and g2 the diagonal of the image, E φ(u)² and E φ(v)², and
v = 2(√(q1 q2) − c), w = 2(√(q1 q2) + c) are carried beside c because 1 − cos θ and 1 + cos θ cannot be had
from it without losing half of the digits.  They hold the angle alone: of rows of different lengths the squared
distance is d = v + (√q1 − √q2)², in which a small v would drown.  V′ and W′ are the same two quantities of the
image, so the next layer starts as exact as this one did.  ``par[k:]`` are the
parameters of the activation, ``row1[m:]`` and ``row2[m:]`` its per-row coefficients (series only).

The functions are written in a small subset of Python that three readers understand: Numba compiles them,
mpmath runs them at any precision (``portable.py``), and ``device/translate.py`` turns them into CUDA C.  So there is
one formula, and each reader tests the other two.
"""
