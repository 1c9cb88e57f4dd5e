"""A discrete-event simulation of the Gram stage at 10⁶ tiles: driver, scheduler, workers, preemption.

    python benchmarks/simulation.py [--tiles 1000000] [--measure]

What is simulated is the protocol of ``ntkdist.cluster.executor``: three tiles per worker thread in flight, one message
for all tiles submitted together, results fetched in batches, one record of receipts a batch; workers that die lose
their tile and come back.  The driver's and the scheduler's seconds a tile are measured on this machine with
``--measure`` (tasks that do nothing on local worker processes), else the stated defaults are used.
"""

from __future__ import annotations

import argparse
import heapq
import random
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """Seconds: of the scheduler per task, of the driver per tile and per batch of receipts."""

    scheduler: float = 1e-3
    driver: float = 0.5e-3
    record: float = 7e-3


@dataclass
class Outcome:
    """What a simulated stage took."""

    seconds: float
    ideal: float
    busy: float
    lost: int
    largest_batch: int
    in_flight: int


def simulate(tiles: int, workers: int, tile: float, costs: Costs, *, mtbf: float = 0.0, seed: int = 0) -> Outcome:
    """Run the protocol: ``tile`` seconds a tile (±20%), each worker dies every ``mtbf`` seconds (0: never).

    Events are (time, what, worker).  The scheduler and the driver are servers with one thing at a time; the driver
    takes everything that has come in since it last looked.
    """
    rng = random.Random(seed)
    limit = 3 * workers
    events: list[tuple[float, str, int]] = []
    submitted = finished = lost = largest = in_flight = peak = 0
    queued = 0  # at the scheduler, ready to be given to a worker
    idle = list(range(workers))
    scheduler_free = driver_free = busy = 0.0
    inbox = 0
    looking = False
    clock = 0.0

    def hand_out(now: float) -> None:
        nonlocal queued, scheduler_free, busy, lost
        while queued and idle:
            worker = idle.pop()
            queued -= 1
            scheduler_free = max(scheduler_free, now) + costs.scheduler
            takes = tile * rng.uniform(0.8, 1.2)
            if mtbf and rng.expovariate(1 / mtbf) < takes:
                lost += 1
                heapq.heappush(events, (scheduler_free + takes / 2, "died", worker))
                continue
            busy += takes
            heapq.heappush(events, (scheduler_free + takes, "done", worker))

    def submit(now: float) -> None:
        nonlocal submitted, queued, in_flight, peak
        more = min(tiles - submitted, limit - in_flight)
        submitted += more
        queued += more
        in_flight += more
        peak = max(peak, in_flight)
        hand_out(now)

    submit(0.0)
    while finished < tiles:
        clock, what, worker = heapq.heappop(events)
        if what == "done":
            idle.append(worker)
            inbox += 1
            hand_out(clock)
            if not looking:
                looking = True
                heapq.heappush(events, (max(clock, driver_free), "look", -1))
        elif what == "died":
            queued += 1  # the scheduler gives the tile to another one
            heapq.heappush(events, (clock + 60.0, "back", worker))
            hand_out(clock)
        elif what == "back":
            idle.append(worker)
            hand_out(clock)
        else:
            batch, inbox, looking = inbox, 0, False
            largest = max(largest, batch)
            driver_free = clock + costs.record + batch * costs.driver
            finished += batch
            in_flight -= batch
            submit(driver_free)
            if inbox and not looking:
                looking = True
                heapq.heappush(events, (driver_free, "look", -1))
    return Outcome(clock, tiles * tile / workers, busy / (clock * workers), lost, largest, peak)


def measured() -> Costs:
    """Seconds of driver and scheduler a tile, here: the whole chain with tasks that do nothing."""
    from ntkdist.cluster import ClusterSpec, open_client, run_tiles

    with open_client(ClusterSpec(type="local", workers=2, threads_per_worker=16)) as client:
        run_tiles(client, nothing, [(k, 0) for k in range(300)], lambda _: None)
        start = time.perf_counter()
        run_tiles(client, nothing, [(k, 0) for k in range(5000)], lambda _: None)
        each = (time.perf_counter() - start) / 5000
    return Costs(scheduler=each, driver=each, record=Costs.record)


def nothing(i: int, j: int) -> int:
    return i


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=int, default=1_000_000)
    parser.add_argument("--measure", action="store_true")
    arguments = parser.parse_args()
    costs = measured() if arguments.measure else Costs()
    per_tile = f"scheduler {1e3 * costs.scheduler:.2f} ms and driver {1e3 * costs.driver:.2f} ms a tile"
    print(f"{arguments.tiles:,} tiles; {per_tile}, {1e3 * costs.record:.1f} ms a batch of receipts;")
    print("a worker that dies is back after 60 s\n")
    print("| workers | seconds a tile | each dies every | hours | of the ideal | busy | tiles lost | largest batch |")
    print("|---|---|---|---|---|---|---|---|")
    for workers in (64, 512):
        for tile in (0.2, 1.0, 5.0):
            for mtbf in (0.0, 3600.0):
                out = simulate(arguments.tiles, workers, tile, costs, mtbf=mtbf)
                times = f"{out.seconds / 3600:.2f} | {out.seconds / out.ideal:.2f}x | {100 * out.busy:.0f}%"
                dies = "1 h" if mtbf else "never"
                print(f"| {workers} | {tile:g} | {dies} | {times} | {out.lost:,} | {out.largest_batch:,} |", flush=True)


if __name__ == "__main__":
    main()
