"""Compute tiles on Dask: a bounded number in flight, receipts back to the driver as they come.

A task is one tile. Workers write the tile where it belongs and return a small receipt, so the driver never holds a
matrix. A worker killed in mid-tile loses that tile, which the scheduler gives to another one.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, TypeVar

from distributed import Client, Future
from distributed.scheduler import KilledWorker

from ntkdist.cluster.waiting import Completed, Patience, lost_cluster_in_words
from ntkdist.errors import ClusterLost
from ntkdist.tiling import Tile

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
# Two tiles wait at a worker for each one it computes, so that it is never idle while receipts are written.
_IN_FLIGHT = 3


def run_tiles(
    client: Client,
    compute: Callable[[int, int], T],
    tiles: Iterable[Tile],
    done: Callable[[list[T]], None],
    *,
    attempts: int = 3,
    patience: Patience | None = None,
) -> None:
    """Run ``compute(i, j)`` for all tiles on the client's workers; ``done`` gets results in batches, as they come.

    At most three tiles per worker thread are in flight; workers that join later get their share. An exception of a
    task is raised here, after the results that came with it have been delivered. Dask gives a tile up after it was
    on several workers that died; it is submitted again, and given up for good when that happens ``attempts`` times
    while other tiles were finished, or three times as often while none was (then machines rather than the tile are
    to blame: preemption, say).

    Raises
    ------
    ClusterLost
        The scheduler or all workers went away for longer than ``patience`` allows, or one tile kept killing the
        workers of a cluster that finishes other tiles.
    """
    pending = iter(tiles)
    waiting: dict[Future[Any], Tile] = {}
    blamed: Counter[Tile] = Counter()
    lost_in_a_row: Counter[Tile] = Counter()
    finished = 0
    finished_at_last_blame: dict[Tile, int] = {}

    def submit(places: Iterable[Tile]) -> None:
        # One message for all of them: a message a tile is what limits a driver of hundreds of workers.
        wanted = list(places)
        if not wanted:
            return
        keys = [f"tile-{i}-{j}-{id(waiting):x}-{lost_in_a_row[i, j]}" for i, j in wanted]
        futures = client.map(compute, *zip(*wanted, strict=True), key=keys, pure=False)
        for place, future in zip(wanted, futures, strict=True):
            waiting[future] = place
            completed.add(future)

    def blame(place: Tile, error: KilledWorker) -> None:
        """Submit a tile again that was lost with its workers, or give it up."""
        lost_in_a_row[place] += 1
        if finished > finished_at_last_blame.get(place, -1) or not waiting:
            blamed[place] += 1
        finished_at_last_blame[place] = finished
        if blamed[place] >= attempts or lost_in_a_row[place] >= 3 * attempts:
            raise ClusterLost(
                f"Tile {place} was lost with {error.allowed_failures + 1} workers in a row, "
                f"{lost_in_a_row[place]} times over; they probably ran out of memory: choose a smaller gram.tile or a "
                "larger cluster.memory_limit, and start again to continue."
            ) from error
        _LOG.warning("tile %s was lost with its workers; it is submitted again", place)
        submit([place])

    with lost_cluster_in_words():
        completed = Completed(client, patience)
        submit(islice(pending, _IN_FLIGHT * max(1, completed.threads)))
        try:
            for batch in completed.batches():
                results: list[T] = []
                lost: list[tuple[Tile, KilledWorker]] = []
                failure: Exception | None = None
                # A finished tile's receipt may go down with its worker while it is fetched.
                for future, outcome in completed.fetch(batch).items():
                    place = waiting.pop(future)
                    if outcome.error is None:
                        results.append(outcome.result)
                    elif isinstance(outcome.error, KilledWorker):
                        lost.append((place, outcome.error))
                    else:
                        failure = failure or outcome.error
                finished += len(results)
                if results:
                    done(results)
                if failure is not None:
                    raise failure
                for place, reason in lost:
                    blame(place, reason)
                submit(islice(pending, max(0, _IN_FLIGHT * max(1, completed.threads) - len(waiting))))
        finally:
            if waiting and client.status == "running":
                client.cancel(list(waiting), force=True)
