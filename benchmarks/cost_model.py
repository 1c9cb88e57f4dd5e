"""Hours, bytes and money of an analysis on GPUs, predicted by the planner's own model; nothing is measured here.

    python benchmarks/cost_model.py --gpu h100 --dollars 3 --features 3072

For each n and number of GPUs: the mode with the fewest hours among resident (where the float32 lower triangle fits in
85% of the devices' memory), streamed (from one file system of ``--disk`` GB/s in all) and recomputed.
"""

from __future__ import annotations

import argparse

from ntkdist.linalg.rpcholesky import default_rank
from ntkdist.pipeline.calibrate import Rates
from ntkdist.pipeline.forecast import SPECTRUM_COLUMNS, forecast
from ntkdist.pipeline.gpus import COPY_OUT, find_gpu

SIZES = (100_000, 1_000_000, 5_000_000)
COUNTS = (1, 8, 64, 512)
# More GPUs than this leave less than a few tiles for each: the model's rates do not hold there.
ROWS_A_GPU = 12_500


def row(n: int, count: int, arguments: argparse.Namespace) -> str:
    """One line of the table."""
    gpu = find_gpu(arguments.gpu)
    disk = arguments.disk * 1e9
    entries = n * (n + 1) / 2
    fits = 4 * entries <= 0.85 * gpu.memory * count
    found = {}
    for mode in ("resident", "streamed", "recomputed"):
        if mode == "resident" and not fits:
            continue
        stored = mode == "streamed"
        tiles = gpu.tile_entries(arguments.features, "float32")
        rates = Rates(
            tile=count * (min(tiles, COPY_OUT / 4) if stored else tiles),
            gemm=count * gpu.flops("float64"),
            product=count * gpu.product_entries(SPECTRUM_COLUMNS, "float32"),
            write=min(disk, count * COPY_OUT),
            read=min(disk, count * COPY_OUT),
        )
        found[mode] = forecast(
            n=n, entries=entries, itemsize=4, stored=stored, mode=mode, rank=default_rank(n), rtol=1e-8,
            rigorous=False, rates=rates,
        )  # fmt: skip
        if mode == "resident":
            found[mode]["hours"] += entries / rates.tile / 3600
    best = min(found, key=lambda mode: float(found[mode]["hours"]))
    hours = {mode: float(f["hours"]) for mode, f in found.items()}
    others = ", ".join(f"{mode} {h:.3g}" for mode, h in hours.items() if mode != best)
    certificate = n**3 / 3 / (count * gpu.flops("float64")) / 3600
    money = hours[best] * count * arguments.dollars
    return (
        f"| {n:,} | {count} | {4 * entries / 1e12:.3g} TB | {best} | {hours[best]:.3g} | {others} | "
        f"{certificate:.3g} | {money:,.3g} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpu", default="h100")
    parser.add_argument("--features", type=int, default=3072)
    parser.add_argument("--dollars", type=float, default=3.0, help="for one GPU hour")
    parser.add_argument("--disk", type=float, default=50.0, help="GB/s of the file system, all readers together")
    arguments = parser.parse_args()
    print(
        "| n | GPUs | lower triangle, float32 | fastest mode | hours | other modes | rigorous certificate, hours | $ |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for n in SIZES:
        for count in COUNTS:
            if count == 1 or n >= ROWS_A_GPU * count**0.5 * 2:
                print(row(n, count, arguments))


if __name__ == "__main__":
    main()
