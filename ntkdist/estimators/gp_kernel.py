"""An infinite-width kernel as a scikit-learn Gaussian-process kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.gaussian_process.kernels import Kernel as GPKernel

from ntkdist.kernels import Kernel

Array = NDArray[Any]


class NTKGPKernel(GPKernel):  # type: ignore[misc]
    """``GaussianProcessRegressor(NTKGPKernel(ntk.Kernel(depth=3), which="nngp"))``.

    It has no hyperparameters to optimise, so its gradient is empty; add a ``WhiteKernel`` or ``alpha`` for noise,
    and compose it with ``+`` and ``*`` like any other. With ``which="nngp"`` the process is the exact prior of the
    infinitely wide Bayesian network (Lee et al. 2018).
    """

    def __init__(self, kernel: Kernel | None = None, which: str = "nngp") -> None:
        self.kernel = kernel
        self.which = which

    def __call__(self, X: ArrayLike, Y: ArrayLike | None = None, eval_gradient: bool = False) -> Any:
        """K(X, Y), (n, m) float64; with ``eval_gradient`` also the empty gradient (n, n, 0)."""
        rows = _rows(X)
        values = self._made.tile(rows, None if Y is None else _rows(Y), which=self.which)
        return (values, np.empty((len(rows), len(rows), 0))) if eval_gradient else values

    def diag(self, X: ArrayLike) -> Array:
        """K(x_i, x_i), (n,)."""
        return self._made.diagonal(_rows(X), which=self.which)

    def is_stationary(self) -> bool:
        """A kernel of a network depends on norms and angles, not on differences."""
        return False

    @property
    def _made(self) -> Kernel:
        return self.kernel if self.kernel is not None else Kernel()

    def __repr__(self) -> str:
        return f"NTKGPKernel({self._made}, which={self.which!r})"


def _rows(x: ArrayLike) -> Array:
    return np.ascontiguousarray(np.atleast_2d(np.asarray(x, dtype=np.float64)))
