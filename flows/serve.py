"""One configuration on a schedule, from a terminal: ``python -m flows.serve conf/digits.yaml --cron "0 2 * * *"``.

For one machine without a work pool: the process registers the deployment on the server of PREFECT_API_URL, runs what
is scheduled, and pauses the schedule when it ends.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.automations import HEARTBEAT_SECONDS, TAG
from flows.ntk_pipeline import ntk_pipeline
from ntkdist.cli import options
from ntkdist.cli.app import guarded
from ntkdist.config import load_config
from ntkdist.errors import InputError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def serve_command(
    conf: options.Config,
    cron: Annotated[str | None, typer.Option(help='A cron schedule, e.g. "0 2 * * *" (UTC).')] = None,
    every: Annotated[float | None, typer.Option(min=1.0, help="Hours between two runs.")] = None,
    name: Annotated[str | None, typer.Option(help="The deployment's name; the configuration's unless given.")] = None,
    debug: options.Debug = False,
) -> None:
    """Serve the pipeline with one configuration until interrupted; a run of it waits for the one before."""
    served(conf, cron=cron, every=every, name=name)


def served(conf: Path, *, cron: str | None, every: float | None, name: str | None, **more: Any) -> None:
    """See the command; further arguments go to ``Flow.serve``.

    Raises
    ------
    InputError
        The configuration does not load, or there is not exactly one schedule, or no server is named.
    """
    load_config(conf)
    if (cron is None) == (every is None):
        raise InputError("Give exactly one schedule: --cron '0 2 * * *', or --every HOURS.")
    if not os.environ.get("PREFECT_API_URL"):
        raise InputError("PREFECT_API_URL names no server: start one with `prefect server start` and set it.")
    os.environ.setdefault("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", str(HEARTBEAT_SECONDS))
    ntk_pipeline.serve(
        name=name or conf.stem,
        cron=cron,
        interval=None if every is None else timedelta(hours=every),
        parameters={"config": str(conf.resolve())},
        tags=[TAG],
        limit=1,
        **more,
    )


if __name__ == "__main__":
    guarded(app, "python -m flows.serve")
