"""What the stages after the Gram matrix share: the store, its configuration, the Gram operator, the targets."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Any

import numpy as np
from distributed import Client
from numpy.typing import NDArray

from ntkdist.cluster import LazyClient, TiledOperator, cores
from ntkdist.config import RunConfig
from ntkdist.kernels import TileKernel
from ntkdist.pipeline.gram_matrix import Gram
from ntkdist.pipeline.operator import open_operator
from ntkdist.pipeline.performance import GramTimings
from ntkdist.pipeline.preconditioner import Prepared, build_preconditioner, restore_preconditioner
from ntkdist.store import RunStore
from ntkdist.tiling import Tiling

Array = NDArray[Any]
EARLIER_WEIGHTS = "earlier_weights"
"""In the inputs of a matrix that was appended to: the weights of the smaller one, zero on the new rows."""


class Session:
    """One run's store opened for analysis; expensive parts are made once, when first needed."""

    def __init__(
        self, store: RunStore, kernel: TileKernel, config: RunConfig, workers: LazyClient | None = None
    ) -> None:
        identity = store.identity
        assert identity is not None
        self.store = store
        self.kernel = kernel
        self.config = config
        self.identity = identity
        self.tiling = Tiling(identity.n, identity.tile)
        self.workers = workers
        self.timings = GramTimings(np.dtype(identity.storage).itemsize)

    @cached_property
    def gram(self) -> Gram:
        """The Gram matrix of the store."""
        solve = self.config.solve
        rank = None if solve.rank == "auto" else solve.rank
        client = None if self.workers is None or self.workers.is_here else self.workers.get()
        return open_gram(self.store, self.kernel, self.config.gram.mode, client, form=solve.preconditioner, rank=rank)

    @cached_property
    def targets(self) -> Array:
        """Encoded training targets, (n, k) float64."""
        return self.store.stage_array("inputs", "y_train")

    @property
    def earlier_weights(self) -> Array | None:
        """Weights (n, k) of the matrix before rows were appended, zero on those; None where there were none."""
        inputs = self.store.stage("inputs")
        if inputs is None or EARLIER_WEIGHTS not in inputs.arrays:
            return None
        return self.store.stage_array("inputs", EARLIER_WEIGHTS)

    @cached_property
    def n_test(self) -> int:
        """Number of held-out rows."""
        inputs = self.store.stage("inputs")
        return 0 if inputs is None else int(inputs.result["n_test"])

    def performance(self, timings: dict[str, float]) -> dict[str, Any]:
        """The ``performance`` section: what earlier sessions of this run left, with what this one did in its place."""
        before = self.store.group.attrs.get("performance")
        section = dict(before) if isinstance(before, dict) else {}
        gram = self.timings.to_dict(timings.get("gram"))
        if gram is not None:
            section["gram"] = gram
        if "gram" in self.__dict__ and self.gram.operator.passes.passes:
            section["passes"] = {"mode": self.gram.mode, **self.gram.operator.passes.to_dict()}
        cluster = self.config.cluster
        section["cluster"] = {"type": cluster.type, "workers": cluster.workers, "cores_here": cores()}
        return section

    def key(self, stage: str, *settings: Any) -> str:
        """Key of a stage: its settings and everything it stands on."""
        content = json.dumps([stage, self.identity.digest, *settings], sort_keys=True, default=str)
        return hashlib.sha256(content.encode()).hexdigest()


def open_gram(
    store: RunStore,
    kernel: TileKernel,
    mode: str,
    client: Client | None = None,
    *,
    form: str = "auto",
    rank: int | None = None,
) -> Gram:
    """The Gram matrix of a store whose tiles are finished (or, recomputed, need not be), on a cluster if given one.

    Its preconditioner, of the ``form`` and ``rank`` asked for, is kept in the store where that may be written.
    """
    identity = store.identity
    chosen = open_operator(store, kernel, mode, client)
    assert identity is not None
    rounding = 0.0
    if chosen.stored:
        rounding = sum(r.rounding * (1 if r.i == r.j else 2) for r in store.tiles.receipts())
    pairs = store.stage_array("inputs", "duplicates")
    return Gram(
        chosen.operator,
        kernel,
        identity.which,
        stored=chosen.stored,
        mode=chosen.mode,
        reason=chosen.reason,
        rounding=rounding,
        compute=identity.compute,
        duplicates=[pairs[pairs[:, 1] == g, 0] for g in np.unique(pairs[:, 1])],
        labels={"dataset_row": store.stage_array("inputs", "train_rows")},
        prepare=lambda op: stored_preconditioner(store, op, form, rank),
        folder=None if store.group.read_only else store.root,
    )


def stored_preconditioner(store: RunStore, op: TiledOperator, form: str, rank: int | None) -> Prepared:
    """The preconditioner of a store: read where it stands, else built and, where the store may be written, kept."""
    identity = store.identity
    assert identity is not None
    key = hashlib.sha256(json.dumps(["preconditioner", identity.digest, form, rank]).encode()).hexdigest()
    finished = store.stage("preconditioner", key)
    if finished is not None:
        arrays = {label: store.stage_array("preconditioner", label) for label in finished.arrays}
        return restore_preconditioner(op, finished.result, arrays)
    made = build_preconditioner(op, form=form, rank=rank)
    if not store.group.read_only:
        store.finish_stage("preconditioner", key, made.describe(), made.preconditioner.arrays())
    return made
