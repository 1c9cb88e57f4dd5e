"""The tasks of a width study: one network each (width, seed, parameterization), on Dask workers, each kept as it ends.

A task gets its rows with it and returns numbers; the driver stores them at once under ``width_tasks/``, so that a study
that was stopped continues with what is missing.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from distributed import Client
from numpy.typing import NDArray

from ntkdist.cluster import run_tiles
from ntkdist.kernels.finite_width import Architecture
from ntkdist.kernels.finite_width.limit import limit_kernel
from ntkdist.moments import _checkpoint
from ntkdist.pipeline.progress import Progress
from ntkdist.store import RunStore
from ntkdist.theory.step_check import TARGET_SCALE, check_step
from ntkdist.theory.width_measures import WidthProblem, measure

FOLDER = "width_tasks"
STEP_FACTORS = (0.9, 1.1)


@dataclass(frozen=True)
class Settings:
    """What every task of a study shares."""

    step: float
    steps: int
    epsilon: float


@dataclass(frozen=True)
class WidthTask:
    """One network; ``kind`` is train, look (at initialisation only) or step (a check of the step at ``factor``)."""

    kind: str
    architecture: Architecture
    seed: int
    factor: float = 0.0

    @property
    def label(self) -> str:
        """The name of its group in the store."""
        tail = f"-x{self.factor:g}" if self.kind == "step" else ""
        return f"{self.architecture.abc.name}-{self.architecture.width}-{self.seed}-{self.kind}{tail}".replace("/", "_")

    def work(self, problem: WidthProblem, settings: Settings) -> float:
        """Predicted flops, for the order and the progress bar."""
        of, n = self.architecture, len(problem.x)
        weights = of.parameters(problem.x.shape[1])
        passes = 2.0 * n * weights * (1 + of.outputs) + 20.0 * weights
        if self.kind == "look":
            return passes
        return 3 * passes + 6.0 * n * weights * (settings.steps if self.kind == "train" else 60)

    def key(self, data: str, settings: Settings) -> str:
        """What the result stands on."""
        shared: dict[str, float] = asdict(settings) if self.kind == "train" else {}
        if self.kind == "step":
            shared = {"target_scale": TARGET_SCALE}
        content = [self.kind, self.architecture.spec(), self.seed, self.factor, data, shared]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Runner:
    """What a worker runs: task ``i`` of the list, on the study's rows."""

    tasks: tuple[WidthTask, ...]
    problem: WidthProblem
    settings: Settings

    def __call__(self, i: int, _: int) -> tuple[int, dict[str, Any]]:
        """Run task ``i`` and return its number with its result."""
        task, problem = self.tasks[i], self.problem
        start = time.perf_counter()
        if task.kind == "step":
            found = asdict(check_step(task.architecture, task.seed, problem.x, problem.y, task.factor))
        else:
            found = measure(
                task.architecture,
                task.seed,
                problem,
                _limit(task.architecture, problem.x),
                **asdict(self.settings),
                training=task.kind == "train",
            ).to_dict()
        _checkpoint("width.computed", task.label)
        about = {
            "kind": task.kind,
            "parameterization": task.architecture.abc.name,
            "width": int(task.architecture.width),
            "seed": task.seed,
        }
        return i, {**about, **found, "seconds": time.perf_counter() - start}


def run_tasks(
    store: RunStore,
    client: Client,
    tasks: list[WidthTask],
    problem: WidthProblem,
    settings: Settings,
    data: str,
    progress: Progress,
) -> None:
    """Run the tasks that are missing, longest first, and store each result as it comes."""
    store.group.require_group(FOLDER)
    total = sum(task.work(problem, settings) for task in tasks)
    progress.start("widths", total, "flop")
    finished = 0.0

    def done(results: list[tuple[int, dict[str, Any]]]) -> None:
        nonlocal finished
        for i, result in results:
            task = tasks[i]
            store.finish_stage(f"{FOLDER}/{task.label}", task.key(data, settings), result)
            finished += task.work(problem, settings)
            progress.update(finished, task.label)

    if tasks:
        run_tiles(client, Runner(tuple(tasks), problem, settings), [(i, 0) for i in range(len(tasks))], done)
    progress.finish()


def stored_result(store: RunStore, task: WidthTask, data: str, settings: Settings) -> dict[str, Any] | None:
    """The result of a task, if it is finished with these settings."""
    found = store.stage(f"{FOLDER}/{task.label}", task.key(data, settings))
    return None if found is None else found.result


def _limit(architecture: Architecture, x: NDArray[Any]) -> NDArray[np.float64] | None:
    kernel = limit_kernel(architecture)
    return None if kernel is None else np.asarray(kernel.tile(x), np.float64)
