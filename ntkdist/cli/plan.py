"""``ntkdist plan CONF``: what a run will take, without computing anything."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from ntkdist.cli import options
from ntkdist.cli.console import err, out, plain, print_json
from ntkdist.config import load_config


def plan(
    conf: options.Config,
    overrides: options.Overrides = None,
    workers: options.Workers = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Print tiles, bytes, flops and memory of a run; nothing is computed or written."""
    from ntkdist.pipeline.plan import make_plan

    config = load_config(conf, options.with_workers(overrides, workers))
    prediction = make_plan(config)
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
    ]
    table = Table(show_header=False, box=None)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(plain(value)))
    out.print(table)
    for warning in prediction["warnings"]:
        err.print(f"warning: {plain(warning)}", markup=False)


def _bytes(value: float) -> str:
    return _scaled(value, "B")


def _flops(value: float) -> str:
    return _scaled(value, "flop")


def _scaled(value: float, unit: str) -> str:
    for size, letter in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {letter}{unit}"
    return f"{value:.0f} {unit}"
