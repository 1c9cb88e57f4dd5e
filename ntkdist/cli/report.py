"""``ntkdist report RUN``: write the HTML report and the figures of a store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ntkdist.cli import options
from ntkdist.cli.console import out, plain, print_json


def report(
    run: options.Run,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The HTML file to write.")] = None,
    figures: Annotated[
        Path | None,
        typer.Option("--figures", help="Also write PNG, SVG and CSV of each figure to this folder."),
    ] = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Write the report of a run again, as one self-contained HTML file."""
    from ntkdist.pipeline.open_run import open_run
    from ntkdist.pipeline.run import report_path
    from ntkdist.report import write_figures, write_report
    from ntkdist.store import disk_errors

    results = open_run(run).results
    page = output or report_path(run)
    with disk_errors(page):
        write_report(results, page)
        written = [str(p) for p in write_figures(results, figures)] if figures is not None else []
    if json:
        print_json({"report": str(page), "figures": written})
    else:
        out.print(plain(f"Report: {page}"), markup=False, soft_wrap=True)
