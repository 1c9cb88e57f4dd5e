"""What every flow of this package does the same way: its open parts, its progress, its tasks' outcomes."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect.client.schemas import State
from prefect.context import FlowRunContext, TaskRunContext
from prefect.runtime import flow_run

from flows.live import LIVE, Live
from flows.progress import UiProgress
from ntkdist.config import RunConfig, load_config
from ntkdist.errors import ClusterLost, NtkdistError
from ntkdist.pipeline.progress import Progress, Silent

RESTARTS = 5
"""How often a flow run that died (its process was killed) is begun again before it is given up."""
_PROGRESS: list[Progress] = []


Configuration = RunConfig | str
"""What a flow is told to run: all fields, as a form shows them, or the path of a YAML file with them."""


def resolved(config: Configuration) -> RunConfig:
    """The run configuration; a path is read where the flow runs, when it runs.

    Raises
    ------
    InputError
        The file does not hold a run configuration.
    """
    return load_config(config) if isinstance(config, str) else config


def outcome(state: State[Any]) -> Any:
    """The result of a finished task; its refusal or error is raised here."""
    if isinstance(state.data, NtkdistError):
        raise state.data
    return state.result()


def refuse_endless_restarts() -> None:
    """End a flow run that has been begun again too often: what kills it will kill it again.

    Raises
    ------
    ClusterLost
        This is more than the first run and ``RESTARTS`` further ones.
    """
    count = flow_run.get_run_count() or 0
    if count > 1 + RESTARTS:
        raise ClusterLost(
            f"This flow run was begun {count - 1} times and died each time: look for what kills it (memory, "
            "preemption, a time limit), then start it anew; finished tiles are in the store."
        )


@contextmanager
def live_run(config: RunConfig) -> Iterator[tuple[str, Live]]:
    """The open parts of one flow run, under a name its tasks find them by."""
    # Prefect's logging would print Dask's every connection between the lines a user reads.
    logging.getLogger("distributed").setLevel(logging.ERROR)
    name = uuid.uuid4().hex
    LIVE[name] = Live(config, current_progress())
    try:
        yield name, LIVE[name]
    finally:
        del LIVE[name]


def current_progress() -> Progress:
    """Where flow runs of this process report to: a terminal's bars, else the Prefect UI; tasks do not report."""
    if _PROGRESS:
        return _PROGRESS[-1]
    return UiProgress() if FlowRunContext.get() is not None and TaskRunContext.get() is None else Silent()


@contextmanager
def reporting_to(progress: Progress) -> Iterator[None]:
    """Send the progress of flow runs of this process to ``progress``."""
    _PROGRESS.append(progress)
    try:
        yield
    finally:
        _PROGRESS.pop()
