"""What the regressor and the classifier share: the kernel's parameters, fitting, more rows, saving and opening.

A fitted estimator is saved as one ``.npz`` without pickled objects; opening it executes nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from ntkdist.errors import InputError
from ntkdist.estimators.engine import Fit, fit_machine, remembered_gram
from ntkdist.kernels import Kernel

Array = NDArray[Any]
FORMAT = "ntkdist-estimator-1"


class KernelMachine(BaseEstimator):  # type: ignore[misc]
    """Parameters and behaviour common to :class:`NTKRegressor` and :class:`NTKClassifier`."""

    def __init__(
        self,
        depth: int = 3,
        activation: str = "relu",
        sigma_w: float = 2**0.5,
        sigma_b: float = 0.1,
        input_scaling: str = "none",
        *,
        kernel: Kernel | None = None,
        which: str = "ntk",
        ridge: float | str = 1e-3,
        rtol: float = 1e-8,
    ) -> None:
        self.depth = depth
        self.activation = activation
        self.sigma_w = sigma_w
        self.sigma_b = sigma_b
        self.input_scaling = input_scaling
        self.kernel = kernel
        self.which = which
        self.ridge = ridge
        self.rtol = rtol

    def _kernel(self) -> Kernel:
        if self.kernel is not None:
            return self.kernel
        return Kernel(self.depth, self.activation, self.sigma_w, self.sigma_b, self.input_scaling)

    def _fit_rows(self, x: Array, columns: Array, earlier: Fit | None = None) -> None:
        self.kernel_ = self._kernel()
        gram = None if earlier is None else earlier.gram
        self.fit_ = fit_machine(
            x, columns, self.kernel_, which=self.which, ridge=self.ridge, rtol=self.rtol, earlier=gram
        )
        self.targets_ = columns
        self.ridge_ = self.fit_.ridge
        self.weights_ = self.fit_.weights

    def _outputs(self, x: ArrayLike) -> Array:
        check_is_fitted(self)
        rows = validate_data(self, x, reset=False, dtype=np.float64)
        return self.fit_.predict(rows, self.kernel_, self.which)

    def _more_rows(self, x: ArrayLike, columns: Array) -> None:
        rows = validate_data(self, x, reset=False, dtype=np.float64)
        if len(rows) != len(columns):
            raise InputError(f"There are {len(rows)} new rows, but {len(columns)} new targets.")
        if columns.shape[1] != self.targets_.shape[1]:
            raise InputError(f"New targets have {columns.shape[1]} columns, but {self.targets_.shape[1]} were fitted.")
        earlier = self.fit_
        self._fit_rows(np.concatenate([earlier.rows, rows]), np.concatenate([self.targets_, columns]), earlier)

    def save(self, path: str | Path) -> Path:
        """Write the fitted estimator to one ``.npz``; raises InputError for class labels that are objects."""
        check_is_fitted(self)
        parameters = {k: v for k, v in self.get_params(deep=False).items() if k != "kernel"}
        described = {
            "format": FORMAT,
            "class": type(self).__name__,
            "parameters": parameters,
            "kernel": self.kernel_.spec(),
            "given": self.kernel is not None,
        }
        arrays = {"rows": self.fit_.rows, "weights": self.weights_, "targets": self.targets_} | self._extra()
        if any(array.dtype.kind == "O" for array in arrays.values()):
            raise InputError("Class labels that are Python objects cannot be saved; use strings or numbers.")
        target = Path(path)
        with target.open("wb") as file:
            np.savez(file, description=np.array(json.dumps(described)), ridge=np.array(self.ridge_), **arrays)  # type: ignore[arg-type]
        return target

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """A fitted estimator that :meth:`save` wrote; its matrix is computed again when rows are added.

        Raises InputError if the file is not one of this class.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                stored = {name: file[name] for name in file.files}
            described = json.loads(str(stored["description"]))
            if described["format"] != FORMAT or described["class"] != cls.__name__:
                raise InputError(f"{path} holds a {described['class']}, not a {cls.__name__}.")
        except (OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path} is not a saved {cls.__name__}.") from None
        kernel = Kernel.from_spec(described["kernel"], allow_import=False)
        found = cls(**described["parameters"], kernel=kernel if described["given"] else None)
        found._restore(stored, kernel)
        return found

    def _restore(self, stored: dict[str, Array], kernel: Kernel) -> None:
        self.kernel_, self.targets_ = kernel, stored["targets"]
        self.n_features_in_ = stored["rows"].shape[1]
        self.ridge_, self.weights_ = float(stored["ridge"]), stored["weights"]
        self.fit_ = Fit(stored["rows"], self.weights_, self.ridge_, remembered_gram(stored["rows"], kernel, self.which))

    def _extra(self) -> dict[str, Array]:
        return {}
