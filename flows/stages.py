"""The stages of a run as Prefect tasks: one task a stage, and for the Gram matrix one task a row band.

A refusal (:class:`NtkdistError`) becomes a failed state that carries its one sentence and is not retried; a lost
cluster and an I/O error are retried, and a retry computes only what is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.states import Failed

from flows.live import LIVE
from ntkdist.errors import ClusterLost, NtkdistError
from ntkdist.pipeline.gram import compute_gram
from ntkdist.pipeline.inputs import write_blocks
from ntkdist.pipeline.predict import compute_predictions
from ntkdist.pipeline.prepare import Preparation
from ntkdist.pipeline.run import publish
from ntkdist.pipeline.solve import compute_solution
from ntkdist.pipeline.spectrum import compute_spectrum
from ntkdist.pipeline.theory import compute_theory

P = ParamSpec("P")
R = TypeVar("R")


def in_one_sentence(stage: Callable[P, R]) -> Callable[P, R]:
    """Turn a refusal into a failed state that says its sentence, without a traceback."""

    @wraps(stage)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return stage(*args, **kwargs)
        except ClusterLost:
            raise
        except NtkdistError as error:
            # Prefect takes a returned state as the task's outcome and raises its data in the flow.
            failed: Any = Failed(message=str(error), data=error)
            outcome: R = failed
            return outcome

    return wrapped


def worth_retrying(task: Any, task_run: Any, state: Any) -> bool:
    """A refusal will be the same the next time; anything else (a lost cluster, an I/O error) may not."""
    return not isinstance(state.data, NtkdistError)


RETRIED: dict[str, Any] = {
    "retry_condition_fn": worth_retrying,
    "retries": 2,
    "retry_delay_seconds": [2, 10],
    "cache_policy": NO_CACHE,
    "persist_result": False,
}
"""How a stage's task is made: retried with backoff unless it was refused; the store, not Prefect, keeps results."""


@task(name="prepare inputs", **RETRIED)
@in_one_sentence
def prepare_stage(run: str) -> None:
    """Open the dataset, read its targets and split its rows."""
    live = LIVE[run]
    live.preparation = Preparation(live.config)


@task(name="read rows", task_run_name="read rows {start}-{stop}", **RETRIED)
@in_one_sentence
def read_range(run: str, start: int, stop: int) -> int:
    """Read, validate and digest one range of the dataset; returns its number of rows."""
    return LIVE[run].preparation.scan((start, stop))


@task(name="write rows", task_run_name="write {part} block {block}", **RETRIED)
@in_one_sentence
def write_range(run: str, part: str, block: int) -> int:
    """Write, flush and receipt the next range of blocks, which begins with this one; returns its number of rows."""
    live = LIVE[run]
    return write_blocks(live.prepared, live.store, live.blocks)


@task(name="gram band", task_run_name="gram band {band}", **RETRIED)
@in_one_sentence
def gram_band(run: str, band: int) -> int:
    """Compute the missing tiles of one row band; returns how many were computed."""
    live = LIVE[run]
    tiles = [(band, j) for j in range(band + 1)]
    session = live.session
    return compute_gram(session.store, session.kernel, live.client, only=tiles, timings=session.timings)


@task(name="spectrum", **RETRIED)
@in_one_sentence
def spectrum_stage(run: str) -> dict[str, Any]:
    """λ_max and λ_min with their certificates."""
    live = LIVE[run]
    return compute_spectrum(live.session, live.progress)


@task(name="solve", **RETRIED)
@in_one_sentence
def solve_stage(run: str) -> dict[str, Any]:
    """Regression weights for all outputs."""
    live = LIVE[run]
    return compute_solution(live.session, live.progress)


@task(name="theory", **RETRIED)
@in_one_sentence
def theory_stage(run: str, spectrum: dict[str, Any]) -> dict[str, Any]:
    """Convergence and generalization statements."""
    live = LIVE[run]
    return compute_theory(live.session, spectrum, live.progress)


@task(name="predict", **RETRIED)
@in_one_sentence
def predict_stage(run: str) -> dict[str, Any] | None:
    """Held-out predictions and scores."""
    live = LIVE[run]
    return compute_predictions(live.session, live.progress)


@task(name="report", **RETRIED)
@in_one_sentence
def report_stage(run: str, seconds: dict[str, float]) -> dict[str, Any]:
    """Timings, provenance and the HTML report; returns the results document."""
    live = LIVE[run]
    return publish(live.session, seconds, live.started)
