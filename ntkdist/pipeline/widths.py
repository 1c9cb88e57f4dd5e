"""The width study as a stage: networks of growing width and several parameterizations beside the infinite limit.

It stands on the inputs alone: it takes the first ``widths.rows`` training rows and ``widths.test_rows`` held-out rows
of the run's split, and needs no Gram matrix.  Its result is the stage ``widths`` of the run store.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.config import EmpiricalKernelConfig, KernelConfig, RunConfig
from ntkdist.errors import InputError
from ntkdist.kernels import Kernel
from ntkdist.kernels.finite_width import Architecture, EmpiricalKernel
from ntkdist.pipeline.guidance import guidance
from ntkdist.pipeline.kernel import build_kernel, exponents
from ntkdist.pipeline.prepare import prepare
from ntkdist.pipeline.progress import Progress, Silent
from ntkdist.pipeline.provenance import provenance
from ntkdist.pipeline.results import collect_results
from ntkdist.pipeline.run import claimed_store, gram_client, report_path
from ntkdist.pipeline.session import Session
from ntkdist.pipeline.width_infinite import infinite_row
from ntkdist.pipeline.width_summary import summarise
from ntkdist.pipeline.width_tasks import STEP_FACTORS, Settings, WidthTask, run_tasks, stored_result
from ntkdist.report import write_report
from ntkdist.theory.width_measures import WidthProblem

Array = NDArray[Any]


class Study:
    """An open width study: its store, its rows, its tasks."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.config = session.config.widths
        self.problem = _problem(session)
        self.architecture = _architecture(session.config, self.problem.y.shape[1])
        self.data = session.identity.data
        limit = self.architecture.infinite().tile(self.problem.x)
        self.limit = np.asarray(limit, np.float64)
        top = float(np.linalg.eigvalsh(self.limit)[-1])
        self.settings = Settings(self.config.step * 2 / top, self.config.steps, self.config.epsilon)
        self.tasks = self._tasks()

    def _tasks(self) -> list[WidthTask]:
        """All tasks, longest first; networks wider than ``train_up_to`` are looked at in the first parameterization."""
        trained = [m for m in self.config.widths if m <= self.config.train_up_to]
        if len(set(self.parameterizations)) < len(self.config.parameterizations):
            raise InputError("two parameterizations of widths.parameterizations have one name; give them names")
        found = []
        for place, given in enumerate(self.config.parameterizations):
            abc = exponents(given, self.architecture.depth)
            for m in self.config.widths:
                if m not in trained and place > 0:
                    continue
                of = replace(self.architecture, width=m, parameterization=abc)
                kind = "train" if m in trained else "look"
                if kind == "look":
                    of = replace(of, outputs=1)  # the first output's kernel is all that is looked at
                found += [WidthTask(kind, of, seed) for seed in self.config.seeds]
            if trained and self.config.step_check:
                of = replace(self.architecture, width=max(trained), parameterization=abc)
                found += [WidthTask("step", of, self.config.seeds[0], factor) for factor in STEP_FACTORS]
        return sorted(found, key=lambda task: -task.work(self.problem, self.settings))

    @property
    def parameterizations(self) -> list[str]:
        """Names of the parameterizations, in the order of the configuration."""
        return [exponents(given, self.architecture.depth).name for given in self.config.parameterizations]

    def missing(self, only: str | None = None) -> list[WidthTask]:
        """Tasks without a stored result (of one parameterization)."""
        wanted = [t for t in self.tasks if only is None or t.architecture.abc.name == only]
        return [t for t in wanted if stored_result(self.session.store, t, self.data, self.settings) is None]

    def compute(self, progress: Progress, only: str | None = None) -> int:
        """Run the missing tasks and return how many there were; no cluster is started when there is none."""
        missing = self.missing(only)
        if missing:
            with gram_client(self.session.config.cluster) as client:
                run_tasks(self.session.store, client, missing, self.problem, self.settings, self.data, progress)
        return len(missing)

    def finish(self) -> dict[str, Any]:
        """Fit, compare, and store the stage ``widths``."""
        start = time.perf_counter()
        store, results = self.session.store, []
        for task in self.tasks:
            found = stored_result(store, task, self.data, self.settings)
            assert found is not None
            results.append(found)
        kinds = [exponents(given, self.architecture.depth) for given in self.config.parameterizations]
        infinite = infinite_row(self.limit, self.architecture, self.problem, self.settings)
        result = {
            "architecture": self.architecture.spec(),
            "rows": len(self.problem.x),
            "test_rows": len(self.problem.x_test),
            "step": self.settings.step,
            "step_share": self.config.step,
            "steps": self.settings.steps,
            "epsilon": self.settings.epsilon,
            "infinite": infinite,
            **summarise(results, kinds),
            "guidance": guidance(self.session.config, self.architecture, self.problem),
            "task_seconds": float(sum(r["seconds"] for r in results)),
        }
        key = self.session.key("widths", self.config.model_dump(mode="json"), self.architecture.spec())
        store.finish_stage("widths", key, {**result, "seconds": time.perf_counter() - start})
        return result


@contextmanager
def open_study(config: RunConfig, progress: Progress | None = None, *, unlock: bool = False) -> Iterator[Study]:
    """Read the data, claim the store, and open the study in it."""
    prepared = prepare(config, progress or Silent())
    with claimed_store(prepared, unlock=unlock) as store:
        yield Study(Session(store, prepared.kernel, config))


def publish(study: Study, started: str) -> dict[str, Any]:
    """Record provenance and write the report; returns the results document."""
    store = study.session.store
    store.set_attributes({"provenance": provenance(started, " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]))})
    results = collect_results(store)
    write_report(results, report_path(store.root))
    return results


def run_widths(config: RunConfig, progress: Progress | None = None, *, unlock: bool = False) -> dict[str, Any]:
    """Run (or resume) the width study of a configuration and return the results document.

    Raises
    ------
    NtkdistError
        One sentence and an exit code; finished tasks stay in the store.
    """
    progress = progress or Silent()
    started = datetime.now(UTC).isoformat(timespec="seconds")
    with open_study(config, progress, unlock=unlock) as study:
        study.compute(progress)
        study.finish()
        return publish(study, started)


def _problem(session: Session) -> WidthProblem:
    """The first rows of the split, in float64."""
    config, store = session.config.widths, session.store
    inputs = store.stage("inputs")
    assert inputs is not None
    train, test = slice(0, config.rows), slice(0, config.test_rows)
    return WidthProblem(
        store.read_array("inputs/x_train", train).astype(np.float64),
        store.stage_array("inputs", "y_train")[train],
        store.read_array("inputs/x_test", test).astype(np.float64),
        store.stage_array("inputs", "y_test")[test],
        inputs.result["task"] == "classification",
    )


def _architecture(config: RunConfig, outputs: int) -> Architecture:
    """The network of the study: that of ``kernel``, with an output per target."""
    kernel: Any = config.widths.network or config.kernel
    width = config.widths.widths[0]
    if isinstance(kernel, EmpiricalKernelConfig) and kernel.model is None:
        made = build_kernel(kernel)
        assert isinstance(made, EmpiricalKernel)
        return replace(made.architecture, outputs=outputs, width=width)
    if not isinstance(kernel, KernelConfig):
        raise InputError("a width study is of fully connected networks; describe one under widths.network")
    dense = build_kernel(kernel)
    assert isinstance(dense, Kernel)
    layer = dense.layers[0]
    plain = not (dense.first_frozen or layer.frozen or layer.residual or layer.layernorm)
    if not plain or any(other != layer for other in dense.layers):
        raise InputError(
            "a width study repeats one trained layer: no lists of different, frozen, residual or layernorm ones"
        )
    return Architecture(
        depth=dense.depth,
        width=width,
        outputs=outputs,
        activation=str(layer.activation),
        sigma_w=layer.sigma_w,
        sigma_b=layer.sigma_b,
        input_scaling=dense.input_scaling,
        first_sigma_w=dense.first_sigma_w,
        first_bias=dense.first_bias,
    )
