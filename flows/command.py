"""``python -m flows.ntk_pipeline CONF``: the flow with the command line's options, table and exit codes."""

from __future__ import annotations

import typer

from flows.shown import run_and_show
from ntkdist.cli import options
from ntkdist.cli.app import guarded
from ntkdist.config import load_config

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def ntk_pipeline_command(
    conf: options.Config,
    overrides: options.Overrides = None,
    workers: options.Workers = None,
    unlock: options.Unlock = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Run one analysis as a Prefect flow (its embedded server starts by itself if none is configured)."""
    config = load_config(conf, options.with_workers(overrides, workers))
    # Prefect takes a second to import: a mistake in the configuration is told before that.
    from flows.ntk_pipeline import ntk_pipeline

    run_and_show(ntk_pipeline, config, unlock=unlock, json=json)


def main() -> None:
    """Run the flow's command and exit."""
    guarded(app, "python -m flows.ntk_pipeline")
