"""``ntkdist widths CONF``: networks of growing width beside their infinite-width kernel."""

from __future__ import annotations

from pathlib import Path

from ntkdist.cli import options
from ntkdist.cli.bars import Bars
from ntkdist.cli.console import out, plain, print_json
from ntkdist.cli.table import print_summary
from ntkdist.config import load_config


def widths(
    conf: options.Config,
    overrides: options.Overrides = None,
    workers: options.Workers = None,
    unlock: options.Unlock = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Train real networks of growing width and say how far they are from their kernel.

    One task per width, seed and parameterization; finished ones are not run again.
    """
    from ntkdist.pipeline.run import report_path
    from ntkdist.pipeline.widths import run_widths

    config = load_config(conf, options.with_workers(overrides, workers))
    with Bars() as bars:
        results = run_widths(config, bars, unlock=unlock)
    if json:
        print_json(results)
        return
    print_summary(results)
    page = report_path(Path(config.store))
    out.print(plain(f"Store: {config.store}   Report: {page}"), markup=False, soft_wrap=True)
