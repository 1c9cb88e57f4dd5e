"""``ntkdist depth CONF``: what depth does to the kernel and to its spectrum on the run's data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from ntkdist.cli import options
from ntkdist.cli.console import out, plain, print_json
from ntkdist.config import load_config
from ntkdist.errors import InputError


def depth(
    conf: options.Config,
    overrides: options.Overrides = None,
    depths: Annotated[
        str, typer.Option("--depths", metavar="L1,L2,…", help="Numbers of activation layers to look at.")
    ] = "1,2,3,5,10,20,50",
    rows: Annotated[int, typer.Option("--rows", help="Training rows of the subsample, at equal steps.")] = 400,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write an HTML page.")] = None,
    figures: Annotated[
        Path | None, typer.Option("--figures", help="Also write PNG, SVG and CSV of each figure to this folder.")
    ] = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Tabulate f(cos θ), the correlation's fixed point, χ₁ and the spectrum for growing depth."""
    from ntkdist.pipeline.depth import depth_analysis
    from ntkdist.report.depth import DEPTH_COLUMNS, depth_rows, depth_sentence, write_depth, write_depth_figures
    from ntkdist.store import disk_errors

    try:
        wanted = tuple(int(v) for v in depths.split(","))
    except ValueError:
        raise InputError(f"--depths takes whole numbers separated by commas, not {depths!r}.") from None
    results = depth_analysis(load_config(conf, overrides or ()), wanted, rows)
    written: list[str] = []
    if output is not None:
        with disk_errors(output):
            written.append(str(write_depth(results, output)))
    if figures is not None:
        with disk_errors(figures):
            written += [str(p) for p in write_depth_figures(results, figures)]
    if json:
        print_json({**results, "files": written})
        return
    out.print(plain(results["kernel"]), markup=False, soft_wrap=True)
    out.print(plain(depth_sentence(results)), markup=False, soft_wrap=True)
    which = str(results["which"]).upper()
    table = Table(
        title=Text(f"{which} for growing depth; eigenvalues over the mean diagonal entry"),
        title_justify="left",
        box=None,
    )
    for name in DEPTH_COLUMNS:
        table.add_column(name, justify="right")
    for row in depth_rows(results):
        table.add_row(*(Text(cell) for cell in row))
    out.print(table)
    out.print(
        plain(
            f"Spectrum of {results['rule']} (of {results['training_rows']:,}); f on rows of squared length"
            f" {results['squared_length']:.4g}, over f(0°)."
        ),
        markup=False,
        soft_wrap=True,
    )
    for path in written:
        out.print(plain(f"Wrote {path}"), markup=False, soft_wrap=True)
