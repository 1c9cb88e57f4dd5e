"""``ntkdist run CONF``: every stage, from the dataset to the report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ntkdist.cli import options
from ntkdist.cli.console import out, plain, print_json
from ntkdist.cli.logs import LogFormat, reported
from ntkdist.cli.table import print_summary
from ntkdist.config import load_config


def run(
    conf: options.Config,
    overrides: options.Overrides = None,
    workers: options.Workers = None,
    unlock: options.Unlock = False,
    log_format: Annotated[
        LogFormat, typer.Option("--log-format", help="Progress and events on stderr: text, or JSON lines.")
    ] = LogFormat.TEXT,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Compute the Gram matrix, its spectrum, the weights, the bounds and the predictions of a dataset.

    Interrupted runs resume: finished tiles and stages are not computed again.
    """
    from ntkdist.pipeline.run import report_path
    from ntkdist.pipeline.run import run as run_stages

    config = load_config(conf, options.with_workers(overrides, workers))
    with reported(log_format) as progress:
        results = run_stages(config, progress, unlock=unlock)
    if json:
        print_json(results)
        return
    print_summary(results)
    page = report_path(Path(config.store))
    out.print(plain(f"Store: {config.store}   Report: {page}"), markup=False, soft_wrap=True)
