"""The width study as a Prefect flow: ``python -m flows.widths conf/widths-digits.yaml``.

The stages of ``ntkdist widths`` as tasks: the networks of each parameterization (one Dask task a network), then the
fits, the guidance and the report.  What is finished is not run again, so a retry computes what is missing.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import typer
from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.states import Failed

from flows.notify import HOOKS
from flows.running import (
    Configuration,
    current_progress,
    outcome,
    refuse_endless_restarts,
    resolved,
)
from flows.shown import run_and_show
from flows.stages import RETRIED, in_one_sentence
from ntkdist.cli import options
from ntkdist.cli.app import guarded
from ntkdist.config import load_config
from ntkdist.errors import NtkdistError
from ntkdist.pipeline.progress import Progress
from ntkdist.pipeline.widths import Study, open_study, publish
from ntkdist.report import to_markdown

_STUDIES: dict[str, tuple[Study, Progress]] = {}
"""Open studies by name: a store and a progress bar are neither serialised nor hashed."""


@task(name="networks", task_run_name="networks {parameterization}", **RETRIED)
@in_one_sentence
def networks(study: str, parameterization: str) -> int:
    """Measure and train the missing networks of one parameterization; returns how many there were."""
    opened, progress = _STUDIES[study]
    return opened.compute(progress, only=parameterization)


@task(name="fits and guidance", **RETRIED)
@in_one_sentence
def fits(study: str) -> None:
    """Fit exponents, compare architectures, store the stage."""
    _STUDIES[study][0].finish()


@task(name="width report", **RETRIED)
@in_one_sentence
def width_report(study: str, started: str) -> dict[str, Any]:
    """Provenance and the HTML report; returns the results document."""
    return publish(_STUDIES[study][0], started)


@flow(
    name="ntk-widths",
    description="Networks of growing width beside their infinite-width kernel.",
    validate_parameters=True,
    persist_result=False,
    **HOOKS,
)
def width_study(config: Configuration, unlock: bool = False) -> Any:
    """Run (or resume) one width study and return the results document."""
    progress = current_progress()
    name, started = uuid.uuid4().hex, datetime.now(UTC).isoformat(timespec="seconds")
    try:
        refuse_endless_restarts()
        with open_study(resolved(config), progress, unlock=unlock) as study:
            _STUDIES[name] = (study, progress)
            try:
                for parameterization in study.parameterizations:
                    outcome(networks(name, parameterization, return_state=True))
                outcome(fits(name, return_state=True))
                results = outcome(width_report(name, started, return_state=True))
            finally:
                del _STUDIES[name]
    except NtkdistError as error:
        return Failed(message=str(error), data=error)
    create_markdown_artifact(key="ntk-widths", markdown=to_markdown(results), description="Width study")
    return results


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def widths_command(
    conf: options.Config,
    overrides: options.Overrides = None,
    workers: options.Workers = None,
    unlock: options.Unlock = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Run one width study as a Prefect flow (its embedded server starts by itself if none is configured)."""
    config = load_config(conf, options.with_workers(overrides, workers))
    run_and_show(width_study, config, unlock=unlock, json=json)


if __name__ == "__main__":
    guarded(app, "flows.widths")
