"""``ntkdist export RUN OUT.npy``: the Gram matrix as one dense file, for scikit-learn's ``kernel="precomputed"``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ntkdist.cli import options
from ntkdist.cli.bars import Bars
from ntkdist.cli.console import out, plain, print_json


def export(
    run: options.Run,
    file: Annotated[Path, typer.Argument(metavar="OUT.npy", help="The file to write.", show_default=False)],
    test: Annotated[bool, typer.Option("--test", help="The test × train block (m, n) instead.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Write the dense symmetric matrix, tile by tile; np.load(OUT.npy, mmap_mode="r") opens it without reading it."""
    from ntkdist.pipeline.export import export_gram

    with Bars() as bars:
        verdict = export_gram(run, file, test=test, force=force, progress=bars)
    if json:
        print_json(verdict)
    else:
        rows, columns = verdict["shape"]
        text = f"{file}: {rows:,} × {columns:,} {verdict['dtype']}, {verdict['bytes'] / 1e9:.3g} GB."
        out.print(plain(text), markup=False, soft_wrap=True)
