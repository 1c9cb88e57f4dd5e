"""A grid of kernels or datasets in one Prefect flow, with a page that compares them.

``python -m flows.sweep conf/digits.yaml --grid kernel.depth=1,3,5 --grid kernel.activation=relu,erf``

Every point of the grid is the pipeline as a flow of its own, with a store of its own beside the configuration's; a
point that is finished is read and not computed, so the same command continues an interrupted sweep. A point that is
refused does not stop the others: the sweep then ends as failed, with its sentence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.states import Failed

from flows.notify import HOOKS
from flows.ntk_pipeline import ntk_pipeline
from flows.running import Configuration, refuse_endless_restarts, reporting_to, resolved
from ntkdist.cli import options
from ntkdist.cli.app import guarded
from ntkdist.cli.bars import Bars
from ntkdist.cli.console import out, plain, print_json
from ntkdist.config import RunConfig, load_config, parse_config
from ntkdist.errors import InputError, NtkdistError
from ntkdist.report import compare_html
from ntkdist.report.headline import headline
from ntkdist.store import disk_errors

Grid = dict[str, list[Any]]


@flow(
    name="ntk-sweep",
    description="The analysis for every point of a grid over kernels and datasets, compared on one page.",
    validate_parameters=True,
    persist_result=False,
    **HOOKS,
)
def sweep(config: Configuration, grid: Grid) -> Any:
    """Run (or resume) every point and return {point: results}; writes ``STORE-sweep.html``."""
    finished: dict[str, dict[str, Any]] = {}
    refused: dict[str, NtkdistError] = {}
    try:
        refuse_endless_restarts()
        config = resolved(config)
        planned = points(config, grid)
    except NtkdistError as error:
        return Failed(message=str(error), data=error)
    for name, point in planned.items():
        try:
            finished[name] = cast(dict[str, Any], ntk_pipeline.with_options(flow_run_name=name)(point))
        except NtkdistError as error:
            refused[name] = error
    if finished:
        page = comparison_path(config)
        with disk_errors(page):
            page.write_text(compare_html(list(finished.values())), encoding="utf-8")
        create_table_artifact(key="ntk-sweep", table=[_line(*item) for item in finished.items()], description=str(page))
    if refused:
        name, first = next(iter(refused.items()))
        told = type(first)(f"{len(refused)} of {len(planned)} points were refused, first {name}: {first}")
        return Failed(message=str(told), data=told)
    return finished


def points(config: RunConfig, grid: Mapping[str, Sequence[Any]]) -> dict[str, RunConfig]:
    """Every point's configuration by its name (``depth=3,activation=erf``), its store named after it.

    Raises
    ------
    InputError
        The grid is empty, names an unknown field, or gives two points one name.
    """
    if not grid or not all(grid.values()):
        raise InputError("The grid is empty: give at least one --grid field=value,value, e.g. kernel.depth=1,3,5.")
    store, found = Path(config.store), {}
    for values in product(*grid.values()):
        name = ",".join(f"{field.rsplit('.', 1)[-1]}={value}" for field, value in zip(grid, values, strict=True))
        if name in found:
            raise InputError(f"Two points of the grid are called {name}: a value is listed twice.")
        tree = config.model_dump(mode="json", exclude_unset=True)
        for field, value in zip(grid, values, strict=True):
            _put(tree, field, value)
        tree["store"] = str(store.with_name(f"{store.stem}-{re.sub(r'[^A-Za-z0-9=.,_-]+', '_', name)}.zarr"))
        found[name] = parse_config(tree, where=f"point {name}")
    return found


def comparison_path(config: RunConfig) -> Path:
    """Where the page stands: ``runs/digits.zarr`` → ``runs/digits-sweep.html``."""
    store = Path(config.store)
    return store.with_name(f"{store.stem}-sweep.html")


def _put(tree: dict[str, Any], field: str, value: Any) -> None:
    *path, last = field.split(".")
    for part in path:
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            raise InputError(f"The grid's field {field} does not exist: {part} has no fields.")
    tree[last] = value


def _line(name: str, results: dict[str, Any]) -> dict[str, str]:
    numbers = {number.name: f"{number.value} {number.error}".strip() for number in headline(results)}
    return {"point": name, **numbers}


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def sweep_command(
    conf: options.Config,
    grid: Annotated[
        list[str],
        typer.Option("--grid", metavar="FIELD=A,B,…", help="Values of a field, e.g. kernel.depth=1,3,5; repeatable."),
    ],
    overrides: options.Overrides = None,
    workers: options.Workers = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Run the grid as one Prefect flow (its embedded server starts by itself if none is configured)."""
    config = load_config(conf, options.with_workers(overrides, workers))
    with Bars() as bars, reporting_to(bars):
        results = cast(dict[str, dict[str, Any]], sweep(config, parse_grid(grid)))
    if json:
        print_json(results)
        return
    for name, found in results.items():
        numbers = "  ".join(f"{number.name} {number.value}" for number in headline(found))
        out.print(plain(f"{name}: {numbers}"), markup=False, soft_wrap=True)
    out.print(plain(f"Comparison: {comparison_path(config)}"), markup=False, soft_wrap=True)


def parse_grid(items: Sequence[str]) -> Grid:
    """``["kernel.depth=1,3"]`` → ``{"kernel.depth": ["1", "3"]}``; the configuration's types read the values.

    Raises
    ------
    InputError
        An item is not FIELD=VALUES, or a field comes twice.
    """
    grid: Grid = {}
    for item in items:
        field, equals, values = item.partition("=")
        if not equals or not field.strip() or not values.strip():
            raise InputError(f"--grid {item!r} is not of the form field=value,value, e.g. kernel.depth=1,3,5.")
        if field.strip() in grid:
            raise InputError(f"--grid gives {field.strip()} twice; list all its values once.")
        grid[field.strip()] = [value.strip() for value in re.split(r",(?![^(]*\))", values)]
    return grid


if __name__ == "__main__":
    guarded(app, "python -m flows.sweep")
