"""The operator K·V over tiles that live with Dask workers.

Each worker owns leaves of the summation tree (:mod:`ntkdist.cluster.summation`), holds their tiles as far as its
memory allows, and returns the sums of whole subtrees. A leaf whose owner is gone goes to another worker, which gets
the tiles from the source again; nobody else's leaves move. The order of additions never changes, so neither do the
bits.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from distributed import Client, Future
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker
from numpy.typing import NDArray

from ntkdist.cluster.held import Share, TileSource, bytes_held, multiply, pick, release
from ntkdist.cluster.operator import TiledOperator
from ntkdist.cluster.ownership import share_out
from ntkdist.cluster.summation import Node, PairwiseSum, join, nodes_over
from ntkdist.cluster.waiting import GONE, Completed, Patience, lost_cluster_in_words
from ntkdist.errors import ClusterLost
from ntkdist.tiling import Tiling

Array = NDArray[Any]
_LOG = logging.getLogger(__name__)
_ON_THE_DRIVER = 8
_ATTEMPTS = 20
# A vector of up to this many bytes goes with each task; a larger one is placed on the workers first.
_SENT_ALONG = 4 << 20


class DistributedOperator(TiledOperator):
    """Symmetric operator of shape (n, n) whose passes run on the workers of a Dask client.

    Parameters
    ----------
    client : the cluster.
    source : gives tiles on the workers, and in this process for single entries of small problems.
    tiling, dtype, diagonal, ahead, block : as in :class:`TiledOperator`.
    budget : bytes of tiles each worker may hold between passes (0: none, every pass reads or recomputes).
    data : an object every worker gets once and ``source.open`` is called with.
    """

    def __init__(
        self,
        client: Client,
        source: TileSource,
        tiling: Tiling,
        dtype: np.dtype[Any],
        *,
        budget: int = 0,
        data: Any = None,
        diagonal: Array | None = None,
        ahead: int = 0,
        block: Callable[[Array, Array], Array] | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.client, self.source, self.budget = client, source, budget
        self._local: Callable[[int, int], Array] | None = None
        self._data = data
        super().__init__(tiling, self._tile_here, dtype, diagonal=diagonal, ahead=ahead, block=block)
        self._owner: dict[int, str] = {}
        self._placed: Future[Any] | None = None
        self._patience = patience or Patience()

    def held_bytes(self) -> dict[str, int]:
        """Bytes of tiles each worker holds now."""
        return dict(self.client.run(bytes_held, self.source.token))

    def close(self) -> None:
        """Let the workers forget the tiles."""
        if self.client.status == "running":
            self.client.run(release, self.source.token)

    def _tile_here(self, i: int, j: int) -> Array:
        if self._local is None:
            self._local = self.source.open(self._data)
        return self._local(i, j)

    def _product(self, v: Array) -> Array:
        return self._again_and_again(lambda: self._attempt(v))

    def _again_and_again(self, attempt: Callable[[], Array]) -> Array:
        """Make an attempt until no worker's death gets in its way."""
        with lost_cluster_in_words():
            for count in range(_ATTEMPTS):
                try:
                    return attempt()
                except _LostOnTheWay:
                    _LOG.warning("a pass lost data with a worker and starts again (attempt %d)", count + 2)
        raise ClusterLost(
            f"A pass over the matrix was lost with its workers {_ATTEMPTS} times; they probably ran out of memory: "
            "choose gram.mode=streamed or a larger cluster.memory_limit, and start again to continue."
        )

    def _attempt(self, v: Array) -> Array:
        with self._talking():
            self._share_out()
            vector = v if v.nbytes <= _SENT_ALONG else self.client.scatter(v, broadcast=True, hash=False)
            nodes = self._submit(vector)
        total = PairwiseSum((len(self._leaves).bit_length() - 1, 0))
        for future, part in self._results(nodes):
            total.add(nodes[future], np.require(part, requirements="W"))
        assert total.total is not None
        return total.total

    def _share_out(self) -> None:
        """Give the leaves to the workers there are now, and place the data on them."""
        if self._data is not None and (self._placed is None or self._placed.status != "finished"):
            self._placed = self.client.scatter(self._data, broadcast=True, hash=False)
        self._owner = share_out(self._owner, self.client.nthreads(), len(self._leaves))
        if not self._owner:
            self._patience.check(self.client)
            time.sleep(self._patience.tick)
            raise _LostOnTheWay

    def _results(self, futures: Collection[Future[Any]]) -> Iterator[tuple[Future[Any], Any]]:
        """The futures with their results as they finish; the rest is cancelled on the way out."""
        completed = Completed(self.client, self._patience)
        for future in futures:
            completed.add(future)
        try:
            for batch in completed.batches():
                if not batch and not set(self._owner.values()) <= set(self.client.nthreads()):
                    # Dask forgets that a task may run elsewhere when its worker died as the last one.
                    raise _LostOnTheWay
                for future in batch:
                    if future.status == "error":
                        _raise_its_own(future)
                    elif future.status != "finished":
                        raise _LostOnTheWay if self.client.status == "running" else ClusterLost(GONE)
                with self._talking():
                    parts = self.client.gather(batch)
                yield from zip(batch, parts, strict=True)
        finally:
            if self.client.status == "running":
                self.client.cancel(list(futures), force=True)

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """A worker that dies breaks the talk with it (try again); a scheduler that is gone ends it."""
        try:
            yield
        except (CommClosedError, OSError) as error:
            if self.client.status != "running":
                raise ClusterLost(GONE) from error
            raise _LostOnTheWay from error

    def _submit(self, vector: Future[Any] | Array) -> dict[Future[Any], Node]:
        """One task per whole subtree of an owner; many of them are joined on the workers already."""
        name = uuid.uuid4().hex[:12]
        by_owner: dict[str, list[int]] = {}
        for leaf, owner in self._owner.items():
            by_owner.setdefault(owner, []).append(leaf)
        tasks: dict[Node, Future[Any]] = {}
        for owner, held in by_owner.items():
            keep = tuple(sorted(held))
            for node in nodes_over(held):
                share = Share(self.source, self.tiling, node, owner, keep, self.budget, self.ahead)
                tasks[node] = self.client.submit(
                    multiply,
                    share,
                    vector,
                    self._placed,
                    key=f"pass-{name}-{node[0]}-{node[1]}",
                    workers=[owner],
                    allow_other_workers=True,
                    pure=False,
                )
        while len(tasks) > _ON_THE_DRIVER:
            pairs = [node for node in tasks if node[1] % 2 == 0 and (node[0], node[1] + 1) in tasks]
            for level, k in pairs:
                left, right = tasks.pop((level, k)), tasks.pop((level, k + 1))
                key = f"join-{name}-{level + 1}-{k // 2}"
                tasks[level + 1, k // 2] = self.client.submit(_join, left, right, key=key, pure=False)
            if not pairs:
                break
        return {future: node for node, future in tasks.items()}

    def block(self, rows: Array, cols: Array) -> Array:
        """K[rows][:, cols] in float64; each tile it needs is looked at once, by the worker that holds it."""
        rows, cols = np.asarray(rows, dtype=np.intp), np.asarray(cols, dtype=np.intp)
        if self._block is not None or not self.budget:
            return super().block(rows, cols)
        return self._again_and_again(lambda: self._pick(rows, cols))

    def _pick(self, rows: Array, cols: Array) -> Array:
        with self._talking():
            self._share_out()
        leaf_of = {place: k for k, leaf in enumerate(self._leaves) for place in leaf}
        out = np.empty((len(rows), len(cols)))
        where: dict[Future[Any], list[Any]] = {}
        for place, parts in self._parts(rows, cols).items():
            wanted = [(local, mirrored) for _, local, mirrored in parts]
            future = self.client.submit(
                pick,
                self.source,
                self.tiling,
                place,
                wanted,
                self._placed,
                workers=[self._owner[leaf_of[place]]],
                allow_other_workers=True,
                pure=False,
            )
            where[future] = [at for at, _, _ in parts]
        for future, found in self._results(where):
            for at, part in zip(where[future], found, strict=True):
                out[at] = part
        return out


def _join(left: Array, right: Array) -> Array:
    """On a worker: its inputs belong to Dask, so the sum gets an array of its own."""
    return join(left.copy(), right)


def _raise_its_own(future: Future[Any]) -> None:
    """Raise the error of a task, unless it is only that its workers died."""
    if isinstance(future.exception(), KilledWorker):
        raise _LostOnTheWay
    future.result()


class _LostOnTheWay(Exception):
    """A pass has to be made again."""
