"""``python -m flows.ntk_pipeline CONF``: the flow with the command line's options, table and exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import typer

from ntkdist.cli import options
from ntkdist.cli.app import guarded
from ntkdist.cli.bars import Bars
from ntkdist.cli.console import out, plain, print_json
from ntkdist.cli.table import print_summary
from ntkdist.config import load_config
from ntkdist.pipeline.run import report_path

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
    from flows.running import reporting_to

    with Bars() as bars, reporting_to(bars):
        results = cast(dict[str, Any], ntk_pipeline(config, unlock=unlock))
    if json:
        print_json(results)
        return
    print_summary(results)
    page = report_path(Path(config.store))
    out.print(plain(f"Store: {config.store}   Report: {page}"), markup=False, soft_wrap=True)


def main() -> None:
    """Run the flow's command and exit."""
    guarded(app, "python -m flows.ntk_pipeline")
