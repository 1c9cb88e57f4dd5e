"""Options shared by several commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path, typer.Argument(metavar="CONF", help="The run configuration (YAML).", show_default=False)]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="A run store, e.g. runs/digits.zarr.", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a field, e.g. kernel.depth=5; may be repeated."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON, and nothing else on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Compute tiles on a LocalCluster with N worker processes."),
]
Unlock = Annotated[bool, typer.Option("--unlock", help="Take over a lock that a dead run on another host left.")]


def with_workers(overrides: list[str] | None, workers: int | None) -> list[str]:
    """The overrides with ``--workers N`` written out."""
    extra = [] if workers is None else ["cluster.type=local", f"cluster.workers={workers}"]
    return [*(overrides or []), *extra]
