"""Parts of the pipeline as flows of their own: ``python -m flows.parts gram|spectrum|solve CONF``.

Each resumes the run's store: a night can compute the matrix on GPUs, and the next morning's run solve on CPUs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from prefect import flow
from prefect.states import Failed

from flows.notify import HOOKS
from flows.ntk_pipeline import RUNNER
from flows.published import publish_results
from flows.running import Configuration, live_run, refuse_endless_restarts, resolved
from flows.shown import run_and_show
from flows.steps import run_stages
from ntkdist.cli import options
from ntkdist.cli.app import guarded
from ntkdist.config import load_config
from ntkdist.errors import NtkdistError

_OPTIONS: dict[str, Any] = {"task_runner": RUNNER, "validate_parameters": True, "persist_result": False, **HOOKS}


@flow(name="ntk-gram", description="The Gram matrix: every missing tile, one task a row band.", **_OPTIONS)
def gram(config: Configuration, unlock: bool = False) -> Any:
    """Compute (or resume) the Gram matrix; returns the results document so far."""
    return _part(config, ("gram",), "ntk-gram", unlock)


@flow(name="ntk-spectrum", description="The Gram matrix and its certified extreme eigenvalues.", **_OPTIONS)
def spectrum(config: Configuration, unlock: bool = False) -> Any:
    """Compute (or resume) λ_min and λ_max with their certificates; returns the results document so far."""
    return _part(config, ("gram", "spectrum"), "ntk-spectrum", unlock)


@flow(name="ntk-solve", description="The Gram matrix and the regression weights for all outputs.", **_OPTIONS)
def solve(config: Configuration, unlock: bool = False) -> Any:
    """Compute (or resume) the weights; returns the results document so far."""
    return _part(config, ("gram", "solve"), "ntk-solve", unlock)


def _part(config: Configuration, wanted: tuple[str, ...], key: str, unlock: bool) -> Any:
    try:
        refuse_endless_restarts()
        with live_run(resolved(config)) as (name, live):
            results = run_stages(name, live, wanted, unlock=unlock)
    except NtkdistError as error:
        return Failed(message=str(error), data=error)
    publish_results(results, key=key)
    return results


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def _command(part: Callable[..., Any]) -> Callable[..., None]:
    def command(
        conf: options.Config,
        overrides: options.Overrides = None,
        workers: options.Workers = None,
        unlock: options.Unlock = False,
        json: options.Json = False,
        debug: options.Debug = False,
    ) -> None:
        config = load_config(conf, options.with_workers(overrides, workers))
        run_and_show(part, config, unlock=unlock, json=json)

    return command


for _part_flow, _help in (
    (gram, "Compute the Gram matrix as a Prefect flow."),
    (spectrum, "Compute the Gram matrix and its extreme eigenvalues as a Prefect flow."),
    (solve, "Compute the Gram matrix and the weights as a Prefect flow."),
):
    app.command(_part_flow.fn.__name__, help=_help)(_command(_part_flow))


if __name__ == "__main__":
    guarded(app, "python -m flows.parts")
