"""``ntkdist inspect RUN``: what a store holds, finished or half-finished."""

from __future__ import annotations

from ntkdist.cli import options
from ntkdist.cli.console import print_json
from ntkdist.cli.table import print_summary


def inspect(run: options.Run, json: options.Json = False, debug: options.Debug = False) -> None:
    """Print what a run store holds: data, kernel, finished tiles and stages, results."""
    from ntkdist.pipeline.results import collect_results
    from ntkdist.store import RunStore

    results = collect_results(RunStore(run))
    if json:
        print_json(results)
    else:
        print_summary(results)
