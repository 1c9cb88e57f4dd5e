"""``ntkdist plan CONF``: what a run will take, without computing anything."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from ntkdist.cli import options
from ntkdist.cli.console import err, out, plain, print_json
from ntkdist.config import load_config


def plan(
    conf: options.Config,
    overrides: options.Overrides = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Plan for N workers like those measured here.")
    ] = None,
    gpus: Annotated[int | None, typer.Option("--gpus", min=1, help="Plan for N GPUs by their data sheet.")] = None,
    gpu: Annotated[str, typer.Option("--gpu", help="Which GPU: a100, h100, h200 or b200.")] = "h100",
    measure: Annotated[bool, typer.Option(help="Measure rates on the workers (up to ten seconds).")] = True,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Print bytes, memory, flops, passes and hours of a run; nothing of it is computed or kept."""
    from ntkdist.pipeline.plan import Imagined, make_plan

    config = load_config(conf, list(overrides or []))
    prediction = make_plan(config, Imagined(workers, gpus, gpu), measure=measure)
    if json:
        print_json(prediction)
        return
    rows = [
        ("kernel", prediction["kernel"]),
        (
            "rows",
            f"{prediction['n_train']:,} train + {prediction['n_test']:,} test, {prediction['features']:,} features",
        ),
        (
            "tiles",
            f"{prediction['tiles']:,} of {prediction['tile']:,} × {prediction['tile']:,} (lower triangle)",
        ),
        ("Gram entries", f"{prediction['entries']:,} stored of {prediction['n_train'] ** 2:,}"),
        ("Gram store", _bytes(prediction["gram_bytes"])),
        ("input store", _bytes(prediction["input_bytes"])),
        ("Gram work", _flops(prediction["gram_flops"])),
        *(
            [("Gram time", f"{prediction['gram_core_hours']:,.3g} core hours on CPUs, predicted")]
            if prediction["gram_core_hours"] is not None
            else []
        ),
        ("one pass K·V", f"{_flops(prediction['pass_flops_per_column'])} per column"),
        ("Cholesky", _flops(prediction["cholesky_flops"])),
        ("preconditioner", f"rank {prediction['preconditioner_rank']}"),
        (
            "worker memory",
            f"{_bytes(prediction['worker_memory_bytes'])} each, {prediction['workers']} × "
            f"{prediction['threads_per_worker']} threads",
        ),
        ("solver memory", _bytes(prediction["solver_memory_bytes"])),
        ("free disk", _bytes(prediction["free_disk_bytes"])),
        ("free memory", _bytes(prediction["free_memory_bytes"])),
        *_hours(prediction),
    ]
    table = Table(show_header=False, box=None)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(plain(value)))
    out.print(table)
    for warning in prediction["warnings"]:
        err.print(f"warning: {plain(warning)}", markup=False)


def _hours(prediction: dict[str, Any]) -> list[tuple[str, str]]:
    """The forecast, where there are rates to make it from."""
    if "rates" not in prediction:
        return []
    rates, seconds, passes = prediction["rates"], prediction["seconds"], prediction["passes"]
    return [
        ("rates", prediction["rates_from"]),
        ("", f"tiles {_scaled(rates['tile'], 'entries/s')}, GEMM {_scaled(rates['gemm'], 'flop/s')} in float64"),
        ("", f"K·V {_scaled(rates['product'], 'stored entries/s')} with 8 columns"),
        ("", f"disk: write {_scaled(rates['write'], 'B/s')}, read {_scaled(rates['read'], 'B/s')}"),
        ("mode", f"{prediction['mode']}: {_time(prediction['pass_seconds'])} a pass"),
        ("passes", f"spectrum about {passes['spectrum']}, weights about {passes['solve']}"),
        *((f"time, {stage}", _time(value)) for stage, value in seconds.items()),
        ("time, total", f"{_time(prediction['hours'] * 3600)} (a forecast, good to a factor of about two)"),
    ]


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def _bytes(value: float) -> str:
    return _scaled(value, "B")


def _flops(value: float) -> str:
    return _scaled(value, "flop")


def _scaled(value: float, unit: str) -> str:
    for size, letter in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {letter}{unit}"
    return f"{value:.0f} {unit}"
