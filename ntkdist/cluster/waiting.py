"""Wait for Dask futures without ever waiting for a cluster that is gone.

Dask's own waits block for as long as nothing happens. Here the scheduler and the workers are looked at while
waiting: when the scheduler does not answer, or no worker is left, for a stated time, the wait ends in one sentence.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from distributed import Client, Future
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from ntkdist.errors import ClusterLost

GONE = "The Dask scheduler went away; finished tiles are kept: start the same command again to continue."


@dataclass
class Patience:
    """How long a wait bears a scheduler that does not answer, and a cluster without a worker, in seconds."""

    scheduler: float = 30.0
    workers: float = 120.0
    tick: float = 2.0
    _alone_since: float | None = field(default=None, repr=False)
    _silent_since: float | None = field(default=None, repr=False)

    def check(self, client: Client) -> int:
        """Return the worker threads there are now; raise when the cluster has been gone for too long.

        Raises
        ------
        ClusterLost
            No scheduler, or no worker, for longer than this patience.
        """
        now = time.monotonic()
        if client.status == "closed":
            raise ClusterLost(GONE)
        threads = None
        if client.status == "running" and client.scheduler is not None:
            try:
                cores = client.sync(client.scheduler.ncores, callback_timeout=self.scheduler)
                threads = sum(int(count) for count in cores.values())
            except (TimeoutError, OSError, CommClosedError, CancelledError):
                threads = None
        if threads is None:
            self._silent_since = self._silent_since or now
            if time.monotonic() - self._silent_since >= self.scheduler:
                raise ClusterLost(GONE)
            return 0
        self._silent_since = None
        if threads > 0:
            self._alone_since = None
            return threads
        self._alone_since = self._alone_since or now
        if now - self._alone_since >= self.workers:
            raise ClusterLost(
                f"The cluster has had no worker for {self.workers:g} s; finished tiles are kept: "
                "start workers, then the same command again to continue."
            )
        return 0


@dataclass(frozen=True)
class Outcome:
    """What became of a task: its result, or its error."""

    result: Any
    error: Exception | None = None


# A finished future becomes lost when the worker that holds its result dies, and pending when it is computed again.
_UNDECIDED = ("lost", "pending")


class Completed:
    """The futures added to it, in the order in which they finish (well, badly, or cancelled)."""

    def __init__(self, client: Client, patience: Patience | None = None) -> None:
        self._client = client
        self._done: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._open = 0
        self._lost: list[Future[Any]] = []
        self._patience = patience or Patience()
        self._looked = time.monotonic()
        self.threads = self._patience.check(client)

    def add(self, future: Future[Any]) -> None:
        """Watch one more future."""
        self._open += 1
        future.add_done_callback(self._done.put)

    def later(self, futures: list[Future[Any]]) -> None:
        """Give back futures of a batch whose results could not be fetched; they come again."""
        self._open += len(futures)
        self._lost += futures

    def fetch(self, batch: list[Future[Any]]) -> dict[Future[Any], Outcome]:
        """What became of a batch's futures; those that cannot be said now come again in a later batch."""
        outcomes = fetched(self._client, batch, self._patience.scheduler) if batch else {}
        self.later([future for future in batch if future not in outcomes])
        return outcomes

    def batches(self) -> Iterator[list[Future[Any]]]:
        """Yield what has finished since the last time, until nothing is open; look at the cluster meanwhile.

        A batch is empty when nothing has finished for a tick. A future whose result went down with its worker has
        not finished: the scheduler computes it again, and it comes in a later batch.

        Raises
        ------
        ClusterLost
            The scheduler or all workers have been gone for longer than the patience allows.
        """
        while self._open:
            if time.monotonic() - self._looked >= self._patience.tick:
                self.threads = self._patience.check(self._client)
                self._looked = time.monotonic()
            batch, self._lost = self._lost, []
            try:
                batch.append(self._done.get(timeout=self._patience.tick))
                while True:
                    batch.append(self._done.get_nowait())
            except queue.Empty:
                pass
            self._lost = [future for future in batch if future.status in _UNDECIDED]
            batch = [future for future in batch if future not in self._lost]
            self._open -= len(batch)
            yield batch


def fetched(client: Client, futures: list[Future[Any]], seconds: float) -> dict[Future[Any], Outcome]:
    """The results (or errors) of those futures that say so within ``seconds``.

    All results come in one round; only where one of them fails is each asked for on its own. A result is missing when
    the scheduler does not answer, or when it went down with its worker just now and is being computed again.
    """
    if all(future.status == "finished" for future in futures):
        try:
            found = client.sync(partial(client.gather, futures, asynchronous=True), callback_timeout=seconds)
            return {future: Outcome(result) for future, result in zip(futures, found, strict=True)}
        except TimeoutError:
            return {}
        except Exception:  # noqa: BLE001 - whose error this is comes out below
            pass
    outcomes: dict[Future[Any], Outcome] = {}
    for future in futures:
        try:
            outcomes[future] = Outcome(future.result(timeout=seconds))
        except Exception as error:  # noqa: BLE001 - the caller's, who knows which tile it was
            if not isinstance(error, TimeoutError) or future.status == "error":
                outcomes[future] = Outcome(None, error)
    return outcomes


@contextmanager
def lost_cluster_in_words() -> Iterator[None]:
    """Translate Dask's ways of saying that the cluster is gone into one sentence."""
    try:
        yield
    except ClusterLost:
        raise
    except KilledWorker as error:
        raise ClusterLost(
            f"A task was lost with {error.allowed_failures + 1} workers in a row ({error.task}); they probably ran "
            "out of memory: choose a smaller gram.tile or a larger cluster.memory_limit, and start again to continue."
        ) from error
    except (CommClosedError, CancelledError) as error:
        raise ClusterLost(GONE) from error
