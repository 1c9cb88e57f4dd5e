"""``ntkdist verify RUN``: re-read every tile, check it against its receipt, recompute a sample."""

from __future__ import annotations

from typing import Annotated

import typer

from ntkdist.cli import options
from ntkdist.cli.bars import Bars
from ntkdist.cli.console import out, plain, print_json


def verify(
    run: options.Run,
    repair: Annotated[bool, typer.Option("--repair", help="Compute damaged tiles again.")] = False,
    sample: Annotated[int, typer.Option(min=0, help="Number of tiles to recompute and compare bit for bit.")] = 4,
    unlock: options.Unlock = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Check a store; exit code 1 and the list of bad tiles if anything is wrong."""
    from ntkdist.pipeline.verify import verify_run

    with Bars() as bars:
        verdict = verify_run(run, repair=repair, sample=sample, unlock=unlock, progress=bars)
    bad = [f"tile ({i}, {j})" for i, j in verdict["damaged"]]
    bad += [f"block {i} of {path}" for path, i in verdict["rows"]]
    bad += [f"stage {name}" for name in verdict["stages"]]
    bad += [f"description {name}" for name in verdict["descriptions"]]
    if json:
        print_json(verdict)
    elif bad:
        verb = "repaired" if verdict["repaired"] else "damaged"
        out.print(plain(f"{len(bad)} {verb}: {', '.join(bad)}"), markup=False, soft_wrap=True)
    else:
        text = (
            f"{verdict['finished']} of {verdict['tiles']} tiles finished, all match their receipts; "
            f"{verdict['recomputed']} recomputed and equal bit for bit."
        )
        out.print(text, markup=False, soft_wrap=True)
    if not json:
        unused = [f"tile ({i}, {j}) without a receipt" for i, j in verdict["unreceipted"]]
        unused += [f"{name}, which is no tile" for name in verdict["foreign"]]
        if unused:
            out.print(plain(f"Not used: {', '.join(unused)}."), markup=False, soft_wrap=True)
    if bad and not verdict["repaired"]:
        raise typer.Exit(1)
