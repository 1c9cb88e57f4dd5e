"""Compute tiles on Dask: a bounded number in flight, receipts back to the driver as they come.

A task is one tile. Workers write the tile where it belongs and return a small receipt, so the driver never holds a
matrix. A worker killed in mid-tile loses that tile, which the scheduler gives to another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

from distributed import Client, as_completed
from distributed.client import FutureCancelledError
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker
from threadpoolctl import threadpool_limits

from ntkdist.errors import ClusterLost
from ntkdist.tiling import Tile

T = TypeVar("T")


def run_tiles(
    client: Client, compute: Callable[[int, int], T], tiles: Iterable[Tile], done: Callable[[list[T]], None]
) -> None:
    """Run ``compute(i, j)`` for all tiles on the client's workers; ``done`` gets results in batches, as they come.

    At most three tiles per worker thread are in flight. An exception of a task is raised here, after the results
    that came with it have been delivered.

    Raises
    ------
    ClusterLost
        The scheduler went away, or one tile took down many workers.
    """
    pending = iter(tiles)
    limit = 3 * max(1, sum(client.nthreads().values()))
    waiting: dict[Any, Tile] = {}

    def submit(count: int) -> list[Any]:
        futures = []
        for i, j in islice(pending, count):
            future = client.submit(compute, i, j, pure=False, key=f"tile-{i}-{j}-{id(waiting):x}")
            waiting[future] = (i, j)
            futures.append(future)
        return futures

    with lost_cluster_in_words(), threadpool_limits(1):
        queue = as_completed(submit(limit), loop=client.loop)
        try:
            for batch in queue.batches():
                results, failure = [], None
                for future in batch:
                    del waiting[future]
                    if future.status == "finished":
                        results.append(future.result())
                    else:
                        failure = failure or future
                if results:
                    done(results)
                if failure is not None:
                    failure.result()
                for future in submit(len(batch)):
                    queue.add(future)
        finally:
            if waiting:
                client.cancel(list(waiting), force=True)


@contextmanager
def lost_cluster_in_words() -> Iterator[None]:
    """Translate Dask's ways of saying that the cluster is gone into one sentence."""
    try:
        yield
    except KilledWorker as error:
        raise ClusterLost(
            f"A tile was lost with {error.allowed_failures + 1} workers in a row ({error.task}); they probably ran "
            "out of memory: choose a smaller gram.tile or a larger cluster.memory_limit, and start again to continue."
        ) from error
    except (CommClosedError, FutureCancelledError) as error:
        raise ClusterLost(
            "The Dask scheduler went away; finished tiles are kept: start the same command again to continue."
        ) from error
