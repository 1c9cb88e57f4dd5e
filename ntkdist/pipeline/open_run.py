"""A finished (or half-finished) run in a notebook: labelled, lazy views of everything in its store."""

from __future__ import annotations

import html
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from ntkdist.config import RunConfig
from ntkdist.data import Normaliser, check_rows
from ntkdist.errors import InputError
from ntkdist.kernels import TileKernel, kernel_from_spec
from ntkdist.linalg import Interval
from ntkdist.pipeline.gram_matrix import Gram
from ntkdist.pipeline.predict import predict_rows
from ntkdist.pipeline.results import collect_results
from ntkdist.pipeline.session import Session, open_gram
from ntkdist.pipeline.spectrum import intervals
from ntkdist.pipeline.training import held_out, train
from ntkdist.pipeline.views import Plots, TheoryView
from ntkdist.report import summary_rows
from ntkdist.store import RunStore
from ntkdist.theory.times import checked_times

Array = NDArray[Any]


def stored_kernel(store: RunStore) -> TileKernel:
    """The kernel described in a store's metadata; nothing named there is imported or executed."""
    spec = store.group.attrs.get("kernel")
    if not isinstance(spec, dict):
        raise InputError(f"{store.root} says nothing of its kernel; start its run again to continue it.")
    return kernel_from_spec(spec, allow_import=False)


class Run:
    """An opened run store. Sections that are not computed yet raise a sentence that says so."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._store = RunStore(path)

    @cached_property
    def kernel(self) -> TileKernel:
        """The kernel of the run."""
        return stored_kernel(self._store)

    @cached_property
    def config(self) -> RunConfig:
        """The configuration the run was made with."""
        tree = self._store.group.attrs.get("config")
        if not isinstance(tree, dict):
            raise InputError(f"{self.path} was not made from a configuration.")
        return RunConfig.model_validate(tree)

    @cached_property
    def session(self) -> Session:
        """The engine's own view of the run."""
        return Session(self._store, self.kernel, self.config)

    @cached_property
    def gram(self) -> Gram:
        """The symmetric Gram matrix: an operator with a lazy labelled view (``run.gram.to_xarray()``)."""
        tree = self._store.group.attrs.get("config")
        mode = tree["gram"]["mode"] if isinstance(tree, dict) else "auto"
        return open_gram(self._store, self.kernel, "recomputed" if mode == "recomputed" else "streamed")

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """Kernel, data, precision, versions, timings: the attributes of the store."""
        return dict(self._store.group.attrs)

    @cached_property
    def results(self) -> dict[str, Any]:
        """The results document: all numbers of the finished stages, as plain JSON."""
        complete = self._store.stage("solution") is not None
        return collect_results(self._store, self.session if complete else None)

    @cached_property
    def inputs(self) -> xr.Dataset:
        """Rows and targets as the kernel saw them (normalised, encoded)."""
        read = self._store.read_array
        return xr.Dataset(
            {
                "x_train": (("train", "feature"), read("inputs/x_train")),
                "y_train": (("train", "output"), read("inputs/y_train")),
                "x_test": (("test", "feature"), read("inputs/x_test")),
                "y_test": (("test", "output"), read("inputs/y_test")),
            },
            coords={
                "train": read("inputs/train_rows"),
                "test": read("inputs/test_rows"),
                "output": self._outputs,
            },
        )

    @cached_property
    def spectrum(self) -> SpectrumView:
        """λ_min and λ_max as intervals, and their eigenvectors."""
        result = self._stage("spectrum")
        vectors = {f"vector_{end}": ("train", self._array("spectrum", f"vector_{end}")) for end in ("min", "max")}
        coords: dict[str, Any] = {"train": self._train_rows}
        stage = self._store.stage("spectrum")
        if stage is not None and "vectors" in stage.arrays:
            vectors["vectors"] = (("train", "eigenvalue"), self._array("spectrum", "vectors"))  # type: ignore[assignment]
            vectors["alignment"] = (("eigenvalue", "output"), self._array("spectrum", "alignment"))  # type: ignore[assignment]
            coords |= {"eigenvalue": result["highest"], "output": self._outputs}
        return SpectrumView(result, xr.Dataset(vectors, coords=coords))

    @cached_property
    def solution(self) -> xr.DataArray:
        """The regression weights (n, k), with residuals and method as attributes."""
        return xr.DataArray(
            self._array("solution", "weights"),
            dims=("train", "output"),
            coords={"train": self._train_rows, "output": self._outputs},
            name="weights",
            attrs=self._stage("solution"),
        )

    @cached_property
    def theory(self) -> TheoryView:
        """The statements of the theory by key (value, ends, unit, formula, assumptions, grade), and its curves."""
        return TheoryView(self._stage("theory"))

    def dynamics(self, times: ArrayLike | None = None) -> xr.Dataset:
        """Training at gradient-flow ``times`` (T,), ∞ allowed; the run's own times unless given.

        ``loss`` with ``loss_lower``, ``loss_upper`` and ``envelope`` (time), and ``f_test`` (time, test, output).
        Uses as many passes over the matrix as the loss needs to be known to 0.1%.
        """
        low, high = intervals(self._stage("spectrum"))
        asked = None if times is None else checked_times(times)
        training = train(self.session, low, high, asked)
        curve = training.dynamics.loss(training.times)
        columns = {
            "loss": ("time", curve.loss.value),
            "loss_lower": ("time", curve.loss.lower),
            "loss_upper": ("time", curve.loss.upper),
            "envelope": ("time", curve.envelope),
        }
        coords: dict[str, Any] = {"time": training.times}
        out = xr.Dataset(columns, coords, {"convention": curve.convention, "initial": training.initial.how})
        if self.session.n_test:
            f = held_out(self.session, training)[1]
            out["f_test"] = (("time", "test", "output"), f)
            out = out.assign_coords(test=self._store.read_array("inputs/test_rows"), output=self._outputs)
        return out

    @cached_property
    def plot(self) -> Plots:
        """The report's figures: ``run.plot.spectrum()`` and the others that ``dir(run.plot)`` lists."""
        return Plots(self.results)

    @property
    def bounds(self) -> TheoryView:
        """Another name of :attr:`theory`."""
        return self.theory

    @cached_property
    def predictions(self) -> xr.DataArray:
        """f on the held-out rows (m, k), with its scores as attributes."""
        return xr.DataArray(
            self._array("predictions", "f"),
            dims=("test", "output"),
            coords={"test": self._store.read_array("inputs/test_rows"), "output": self._outputs},
            name="f",
            attrs=self._stage("predictions"),
        )

    def predict(self, x: Array) -> xr.DataArray:
        """f(x) = Θ(x, X) α for raw rows x (m, features): normalised like the training rows."""
        rows = np.asarray(x, dtype=np.float64)
        rows = rows[None] if rows.ndim == 1 else rows.reshape(len(rows), -1)
        inputs = self._stage("inputs")
        if rows.shape[1] != inputs["features"]:
            raise InputError(f"x has {rows.shape[1]} features, but the run was made with {inputs['features']}.")
        check_rows(rows, 0)
        normaliser = Normaliser.from_dict(inputs["normaliser"])
        return xr.DataArray(
            predict_rows(self.session, normaliser.apply(rows)),
            dims=("row", "output"),
            coords={"output": self._outputs},
            name="f",
        )

    @property
    def _outputs(self) -> list[str]:
        inputs = self._stage("inputs")
        return list(inputs["classes"] or [f"y{k}" for k in range(inputs["outputs"])])

    @property
    def _train_rows(self) -> Array:
        return self._store.read_array("inputs/train_rows")

    def _stage(self, name: str) -> dict[str, Any]:
        finished = self._store.stage(name)
        if finished is None:
            raise InputError(f"{self.path} has no finished {name} yet; start its run again to continue it.")
        return finished.result

    def _array(self, stage: str, label: str) -> Array:
        self._stage(stage)
        return self._store.stage_array(stage, label)

    def __repr__(self) -> str:
        """The summary as text."""
        lines = [f"ntkdist run {self.path}"]
        for section in summary_rows(collect_results(self._store)):
            lines.append(section.title)
            lines += [f"  {row.name}: {row.value} {row.error}".rstrip() for row in section.rows]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """The summary as an HTML table; everything is escaped."""
        parts = [f"<strong>ntkdist run {html.escape(str(self.path))}</strong>"]
        for section in summary_rows(collect_results(self._store)):
            cells = "".join(
                f"<tr><th>{html.escape(row.name)}</th><td>{html.escape(row.value)}</td>"
                f"<td>{html.escape(row.error)}</td></tr>"
                for row in section.rows
            )
            parts.append(f"<table><caption>{html.escape(section.title)}</caption>{cells}</table>")
        return "".join(parts)


class SpectrumView:
    """The spectrum of a run: intervals and eigenvectors."""

    def __init__(self, result: dict[str, Any], vectors: xr.Dataset) -> None:
        self.result = result
        self.vectors = vectors

    @property
    def lambda_min(self) -> Interval:
        """λ_min with its certificate."""
        return Interval(**self.result["lambda_min"])

    @property
    def lambda_max(self) -> Interval:
        """λ_max with its certificate."""
        return Interval(**self.result["lambda_max"])

    @property
    def eigenvectors(self) -> xr.DataArray:
        """Unit eigenvectors of the largest eigenvalues (n, m), labelled by eigenvalue."""
        return self.vectors["vectors"]

    @property
    def alignment(self) -> xr.DataArray:
        """Share of every output's energy in the leading eigendirections (m, outputs)."""
        return self.vectors["alignment"]

    @property
    def density(self) -> xr.Dataset:
        """Share of the eigenvalues per unit of ln λ, with its standard error (zero where exact)."""
        found = self.result["density"]
        columns = {name: ("eigenvalue", found[name]) for name in ("density", "error")}
        return xr.Dataset(
            columns, coords={"eigenvalue": found["x"]}, attrs={"unit": found["unit"], "how": found["how"]}
        )

    @property
    def effective_dimension(self) -> xr.Dataset:
        """tr K(K + ridge·I)⁻¹ over a grid of ridges, with its standard error (zero where exact)."""
        found = self.result["effective_dimension"]
        columns = {"value": ("ridge", found["values"]), "error": ("ridge", found["errors"])}
        return xr.Dataset(columns, coords={"ridge": found["ridges"]}, attrs={"how": found["how"]})

    def __repr__(self) -> str:
        """Both intervals."""
        return f"Spectrum(lambda_min={self.lambda_min}, lambda_max={self.lambda_max})"


def open_run(path: str | Path) -> Run:
    """Open a run store for reading; nothing in it is executed.

    Raises
    ------
    InputError
        There is no run store at ``path``.
    """
    return Run(path)
