"""New rows for a run as a Prefect flow: ``python -m flows.append conf/digits.yaml new.npz``.

The matrix grows by the tiles that touch the new rows, the solve starts from the weights of the smaller matrix, and a
table says what changed.  Started again with the same rows it continues, or finds that nothing is left to do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer
from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.states import Failed

from flows.notify import HOOKS
from flows.ntk_pipeline import ntk_pipeline
from flows.running import (
    Configuration,
    current_progress,
    outcome,
    refuse_endless_restarts,
    reporting_to,
    resolved,
)
from flows.stages import RETRIED, in_one_sentence
from ntkdist.cli import options
from ntkdist.cli.app import guarded
from ntkdist.cli.bars import Bars
from ntkdist.cli.console import out, plain, print_json
from ntkdist.config import RunConfig, load_config
from ntkdist.errors import NtkdistError
from ntkdist.pipeline.append import append_file
from ntkdist.report.headline import headline
from ntkdist.store import RunStore, appended


@task(name="append rows", **RETRIED)
@in_one_sentence
def append_stage(config: RunConfig, path: str, x: str, y: str, unlock: bool) -> dict[str, Any]:
    """Take the rows in and compute the tiles that touch them; returns what was done."""
    return append_file(
        Path(config.store), path, x=x, y=y, cluster=config.cluster, unlock=unlock, progress=current_progress()
    )


@flow(
    name="ntk-append",
    description="New rows for an existing run: the matrix grows, the analysis is made again, changes are listed.",
    validate_parameters=True,
    persist_result=False,
    **HOOKS,
)
def append(config: Configuration, path: str, x: str = "x", y: str = "y", unlock: bool = False) -> Any:
    """Append the dataset at ``path`` to the run of ``config``; returns {rows, n, computed, changes, results}."""
    try:
        refuse_endless_restarts()
        config = resolved(config)
        done = outcome(append_stage(config, path, x, y, unlock, return_state=True))
        results = cast(dict[str, Any], ntk_pipeline(config, unlock=unlock))
    except NtkdistError as error:
        return Failed(message=str(error), data=error)
    changed = changes(config, results)
    create_table_artifact(key="ntk-changes", table=changed, description=f"Before and after the rows of {path}")
    return {"appended": done["appended"], "n": done["n"], "computed": done["computed"], "changes": changed} | {
        "results": results
    }


def changes(config: RunConfig, results: dict[str, Any]) -> list[dict[str, str]]:
    """The headline numbers before the last lot of rows and now, each with its interval and grade."""
    lots = appended(RunStore(Path(config.store)))
    before = {number["name"]: number for number in (lots[-1].get("before", []) if lots else [])}
    now = {number.name: vars(number) for number in headline(results)}
    none = {"value": "", "error": ""}
    return [
        {
            "quantity": name,
            "before": before.get(name, none)["value"],
            "before error": before.get(name, none)["error"],
            "now": now.get(name, none)["value"],
            "now error": now.get(name, none)["error"],
        }
        for name in {**before, **now}
    ]


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def append_command(
    conf: options.Config,
    new: Annotated[str, typer.Argument(metavar="NEWDATA", help="A dataset with the new rows.", show_default=False)],
    x: Annotated[str, typer.Option("--x", help="Name of the rows inside the file.")] = "x",
    y: Annotated[str, typer.Option("--y", help="Name of the targets inside the file.")] = "y",
    overrides: options.Overrides = None,
    workers: options.Workers = None,
    unlock: options.Unlock = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Append rows and analyse again as one Prefect flow (its embedded server starts by itself if none is set)."""
    config = load_config(conf, options.with_workers(overrides, workers))
    with Bars() as bars, reporting_to(bars):
        done = cast(dict[str, Any], append(config, new, x, y, unlock))
    if json:
        print_json(done)
        return
    text = f"{done['appended']:,} rows appended, {done['n']:,} now; {done['computed']:,} tiles computed."
    out.print(plain(text), markup=False, soft_wrap=True)
    for line in done["changes"]:
        out.print(plain(f"{line['quantity']}: {line['before']} → {line['now']}"), markup=False, soft_wrap=True)


if __name__ == "__main__":
    guarded(app, "python -m flows.append")
