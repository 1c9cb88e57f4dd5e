"""Dual activations: the maps (Σ₁₁, Σ₂₂, Σ₁₂) → E φ(u)φ(v) and E φ′(u)φ′(v) for (u, v) ~ N(0, Σ).

Every dual is one plain scalar function with the same signature and the same four results,

    (F, Ḟ, D′, S′) = dual(q1, q2, c, d, s, par, k, row1, row2, m)

where q1, q2, c are the entries of Σ, and d = q1 + q2 − 2c and s = q1 + q2 + 2c are carried beside them
because 1 − cos θ and 1 + cos θ cannot be had from c without losing half of the digits.  D′ and S′ are the
same two quantities of the image, so the next layer starts as exact as this one did.  ``par[k:]`` are the
parameters of the activation, ``row1[m:]`` and ``row2[m:]`` its per-row coefficients (series only).

The functions are written in a small subset of Python that three readers understand: Numba compiles them,
mpmath runs them at any precision (``portable.py``), and ``codegen`` translates them to CUDA C.  So there is
one formula, and each reader tests the other two.
"""
