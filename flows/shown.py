"""What the commands of the flows have in common: run with bars in the terminal, then the summary or the JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ntkdist.cli.bars import Bars
from ntkdist.cli.console import out, plain, print_json
from ntkdist.cli.table import print_summary
from ntkdist.config import RunConfig
from ntkdist.pipeline.run import report_path


def run_and_show(flow: Callable[..., Any], config: RunConfig, *, unlock: bool, json: bool) -> None:
    """Run a flow that returns a results document and print that as a table, or as JSON."""
    from flows.running import reporting_to

    with Bars() as bars, reporting_to(bars):
        results: dict[str, Any] = flow(config, unlock=unlock)
    if json:
        print_json(results)
        return
    print_summary(results)
    page = report_path(Path(config.store))
    out.print(plain(f"Store: {config.store}   Report: {page}"), markup=False, soft_wrap=True)
