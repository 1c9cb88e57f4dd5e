"""The library's functions, as a notebook uses them: gram, spectrum, solve, theory, open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ntkdist.errors import InputError
from ntkdist.kernels import TileKernel
from ntkdist.linalg import Solve
from ntkdist.theory import Dynamics, Statement

if TYPE_CHECKING:
    from distributed import Client

    from ntkdist.pipeline.gram_matrix import Gram
    from ntkdist.pipeline.open_run import Run
    from ntkdist.pipeline.spectrum import Spectrum


def gram(
    x: ArrayLike,
    kernel: TileKernel,
    store: str | Path | None = None,
    client: Client | None = None,
    *,
    which: str = "ntk",
    tile: int | str = "auto",
    storage: str | None = None,
    mode: str = "auto",
) -> Gram:
    """The Gram matrix of rows x (n, d) under ``kernel``.

    Parameters
    ----------
    x : float32 or float64 rows; the tiles are computed in this precision (integers become float64).
    store : a run store to write tiles to; a run that was interrupted is resumed. None keeps the tiles in memory.
    client : a Dask client; None computes in this process.
    which : ``"ntk"`` or ``"nngp"``.
    storage : precision in which tiles are stored; the compute precision unless given.

    Raises
    ------
    InputError
        NaN or Inf in x, a store of another kernel or other data, and the like.
    """
    from ntkdist.pipeline.library import library_gram

    return library_gram(x, kernel, store, client, which=which, tile=tile, storage=storage, mode=mode)


def append(store: str | Path, x: ArrayLike, y: ArrayLike | None = None, client: Client | None = None) -> Gram:
    """Grow the matrix of a run store by rows x (m, d), computing only the tiles that touch them; the grown matrix.

    ``y`` (m,) or (m, k) is needed if the store was made with targets. Rows are normalised as the store's own were.
    Results that stood on the smaller matrix are withdrawn. Interrupted, the same call continues.

    Raises
    ------
    InputError
        The rows or targets do not fit the store's; NaN or Inf.
    """
    from ntkdist.data import ArraySource
    from ntkdist.pipeline.append import append_rows
    from ntkdist.pipeline.open_run import open_run

    rows = np.asarray(x)
    append_rows(
        Path(store),
        ArraySource("x", rows[:, None] if rows.ndim == 1 else rows, None if y is None else np.asarray(y)),
        client=client,
    )
    return open_run(store).gram


def spectrum(gram: Gram, certificate: str = "rigorous", *, rtol: float = 1e-9) -> Spectrum:
    """λ_min and λ_max of a Gram matrix, as intervals of grade residual, probabilistic or rigorous."""
    from ntkdist.pipeline.spectrum import extreme_eigenvalues

    if certificate not in ("residual", "probabilistic", "rigorous"):
        raise InputError(f"Unknown certificate {certificate!r}; choose residual, probabilistic or rigorous.")
    return extreme_eigenvalues(gram, certificate, rtol)


def solve(
    gram: Gram,
    y: ArrayLike,
    ridge: float = 0.0,
    rtol: float = 1e-8,
    *,
    method: str = "auto",
    max_passes: int = 2000,
) -> Solve:
    """Solve (Θ + ridge·I) x = y for y of shape (n,) or (n, k); ``residual_norms`` are true, relative, float64."""
    from ntkdist.pipeline.solve import solve_weights

    block, single = _columns(y, gram.n)
    if not ridge >= 0.0:
        raise InputError(f"ridge must be zero or positive, not {ridge}.")
    found, _, _ = solve_weights(gram, block, ridge=ridge, rtol=rtol, method=method, max_passes=max_passes)
    if not single:
        return found
    from dataclasses import replace

    return replace(found, x=found.x[:, 0])


@dataclass(frozen=True)
class Theory:
    """The statements of the theory for one Gram matrix and one set of targets."""

    statements: tuple[Statement, ...]
    train: Callable[..., Dynamics]

    def dynamics(self, times: ArrayLike, f0: ArrayLike | None = None) -> Dynamics:
        """Training as a function of gradient-flow time: loss and f(t) with bounds, known to 0.1% at ``times``.

        ``f0``: the network before training on the training rows, zero unless given. The result answers
        ``.loss(times)``, ``.train(times)``, ``.dual(times)`` and ``.predict(k_cross, times, k_diag)`` at any times.
        """
        return self.train(times, f0)

    def __getitem__(self, key: str) -> Statement:
        """The statement called ``key``."""
        for statement in self.statements:
            if statement.key == key:
                return statement
        raise KeyError(f"no statement {key!r}; there are {', '.join(s.key for s in self.statements)}")

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """All statements by key, as plain JSON."""
        return {s.key: s.to_dict() for s in self.statements}


def theory(
    gram: Gram,
    y: ArrayLike,
    spectrum: Spectrum | None = None,
    solution: Solve | None = None,
    *,
    ridge: float = 0.0,
    epsilon: float = 1e-3,
    delta: float = 0.05,
) -> Theory:
    """Convergence rates, stable steps and generalization bounds, each with its assumptions.

    What is not given (``spectrum``, ``solution``) is computed. ``ridge`` must be the one of ``solution``.
    """
    from ntkdist.pipeline.risk import risk_lines
    from ntkdist.pipeline.solve import solve_weights
    from ntkdist.pipeline.spectrum import extreme_eigenvalues
    from ntkdist.pipeline.theory import state_theory
    from ntkdist.theory import dynamics

    block, _ = _columns(y, gram.n)
    ends = spectrum or extreme_eigenvalues(gram)
    found = solution.x if solution is not None else solve_weights(gram, block, ridge=ridge)[0].x
    weights = np.asarray(found).reshape(block.shape)
    low, high = ends.lambda_min, ends.lambda_max
    told = state_theory(gram, block, weights, low, high, ridge=ridge, epsilon=epsilon, delta=delta)

    def train(times: ArrayLike, f0: ArrayLike | None = None) -> Dynamics:
        return dynamics(gram, block, times, f0=f0, lambda_lower=max(low.lower, 0.0))

    return Theory((*told, *risk_lines(gram, block, weights, ridge, "regression")), train)


def open(path: str | Path) -> Run:
    """Open a run store: labelled, lazy views of its Gram matrix, spectrum, solution, bounds and predictions."""
    from ntkdist.pipeline.open_run import open_run

    return open_run(path)


def _columns(y: ArrayLike, n: int) -> tuple[NDArray[np.float64], bool]:
    block = np.asarray(y, dtype=np.float64)
    single = block.ndim == 1
    block = block[:, None] if single else block
    if block.ndim != 2 or len(block) != n:
        raise InputError(f"y must have {n} rows like the Gram matrix, but has shape {np.shape(y)}.")
    if not np.isfinite(block).all():
        rows = np.flatnonzero(~np.isfinite(block).all(axis=1))[:5].tolist()
        raise InputError(f"y is not finite in rows {rows}; remove or mend them.")
    return block, single
