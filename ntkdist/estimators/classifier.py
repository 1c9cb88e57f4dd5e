"""Classification by kernel regression on centred one-hot targets with an NTK or NNGP."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from ntkdist.errors import InputError
from ntkdist.estimators.base import KernelMachine

Array = NDArray[Any]


class NTKClassifier(ClassifierMixin, KernelMachine):  # type: ignore[misc]
    """Classification with the kernel of an infinitely wide network: regression on one-hot minus 1/k, then argmax.

    Parameters are those of :class:`NTKRegressor`. ``classes_`` holds the classes, ``weights_`` (n, k) the weights.
    The outputs are regression values, not probabilities: see :meth:`decision_function`.

    Source: Arora et al. 2019 (NeurIPS); Lee et al. 2020 (NeurIPS).
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit to X (n, d) and class labels y (n,); raises ValueError (InputError) for what cannot be fitted."""
        rows, labels = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(labels)
        self.classes_, index = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(f"y holds one class, {self.classes_[0]!s}; classification needs two or more.")
        self._fit_rows(rows, self._encode(index))
        return self

    def decision_function(self, X: ArrayLike) -> Array:
        """Outputs (m, k), or for two classes the difference (m,) of the second and the first."""
        found = self._outputs(X)
        return found[:, 1] - found[:, 0] if len(self.classes_) == 2 else found

    def predict(self, X: ArrayLike) -> Array:
        """The class of the largest output, (m,)."""
        outputs = self._outputs(X)
        return np.asarray(self.classes_[outputs.argmax(axis=1)])

    def add_rows(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Continue with more rows of known classes: only kernel values that touch a new row are computed."""
        check_is_fitted(self)
        labels = np.asarray(y)
        index = np.searchsorted(self.classes_, labels)
        known = index < len(self.classes_)
        if not known.all() or not (self.classes_[index] == labels).all():
            raise InputError(f"New rows may only have the classes {', '.join(map(str, self.classes_))}.")
        self._more_rows(X, self._encode(index))
        return self

    def _encode(self, index: Array) -> Array:
        k = len(self.classes_)
        return np.eye(k)[index] - 1.0 / k

    def _extra(self) -> dict[str, Array]:
        return {"classes": self.classes_}

    def _restore(self, stored: dict[str, Array], kernel: Any) -> None:
        super()._restore(stored, kernel)
        self.classes_ = stored["classes"]
