"""``ntkdist append RUN NEWDATA``: grow the matrix of a run by new rows."""

from __future__ import annotations

from typing import Annotated

import typer

from ntkdist.cli import options
from ntkdist.cli.bars import Bars
from ntkdist.cli.console import err, out, plain, print_json
from ntkdist.config import ClusterConfig

NewData = Annotated[str, typer.Argument(metavar="NEWDATA", help="A dataset with the new rows.", show_default=False)]


def append(
    run: options.Run,
    new: NewData,
    x: Annotated[str, typer.Option("--x", help="Name of the rows inside the file.")] = "x",
    y: Annotated[str, typer.Option("--y", help="Name of the targets inside the file.")] = "y",
    workers: options.Workers = None,
    unlock: options.Unlock = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Add rows to a run's training rows; only the tiles that touch them are computed.

    Spectrum, weights, bounds and predictions of the smaller matrix are withdrawn: `ntkdist run` makes them again.
    """
    from ntkdist.pipeline.append import append_file

    cluster = ClusterConfig() if workers is None else ClusterConfig(type="local", workers=workers)
    with Bars() as bars:
        verdict = append_file(run, new, x=x, y=y, cluster=cluster, unlock=unlock, progress=bars)
    if json:
        print_json(verdict)
        return
    if verdict["appended"]:
        text = f"{verdict['appended']:,} rows appended, {verdict['n']:,} now; {verdict['computed']:,} tiles computed."
        out.print(plain(text), markup=False, soft_wrap=True)
        err.print(
            "The results of the smaller matrix are withdrawn; start its `ntkdist run` again for those of this one.",
            markup=False,
            soft_wrap=True,
        )
    else:
        text = f"These rows are the last ones appended already; {verdict['computed']:,} missing tiles computed."
        out.print(plain(text), markup=False, soft_wrap=True)
