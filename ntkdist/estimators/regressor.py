"""Kernel ridge regression with an NTK or NNGP: what an infinitely wide network trained to the end predicts."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from ntkdist.estimators.base import KernelMachine

Array = NDArray[Any]


class NTKRegressor(RegressorMixin, KernelMachine):  # type: ignore[misc]
    """Regression with the kernel of an infinitely wide network, f(x) = K(x, X)(K + ridge·I)⁻¹y.

    Parameters
    ----------
    depth, activation, sigma_w, sigma_b, input_scaling : the network, as in :class:`ntkdist.Kernel`; a small bias is
        the default, so that a row of zeros and rows of one feature are no special case.
    kernel : a :class:`ntkdist.Kernel` instead of the five above.
    which : ``"ntk"`` (gradient descent on all layers) or ``"nngp"`` (the Bayesian network).
    ridge : added to the diagonal; ``"loo"`` and ``"gcv"`` choose it on the training rows.
    rtol : true relative residual of the weights.

    Attributes
    ----------
    weights_ : (n, k) float64; ``ridge_`` the ridge used; ``kernel_`` the kernel; ``n_features_in_``.

    Source: Jacot, Gabriel & Hongler 2018 (NeurIPS); Lee et al. 2018 (ICLR) for the NNGP.
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit to X (n, d) and y (n,) or (n, k); raises ValueError (InputError) for what cannot be fitted."""
        rows, targets = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        self.single_output_ = targets.ndim == 1
        self._fit_rows(rows, np.asarray(targets, np.float64).reshape(len(rows), -1))
        return self

    def predict(self, X: ArrayLike) -> Array:
        """f(X) (m,) or (m, k), float64."""
        found = self._outputs(X)
        return found[:, 0] if self.single_output_ else found

    def add_rows(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Continue with more rows: only kernel values that touch a new row are computed, then the weights anew."""
        check_is_fitted(self)
        targets = np.asarray(y, np.float64)
        self._more_rows(X, targets.reshape(len(targets), -1))
        return self

    def _extra(self) -> dict[str, Array]:
        return {"single_output": np.array(self.single_output_)}

    def _restore(self, stored: dict[str, Array], kernel: Any) -> None:
        super()._restore(stored, kernel)
        self.single_output_ = bool(stored["single_output"])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
