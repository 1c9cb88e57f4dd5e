"""What the stages after the Gram matrix share: the store, its configuration, the Gram operator, the targets."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.config import RunConfig
from ntkdist.kernels import TileKernel
from ntkdist.pipeline.gram_matrix import Gram
from ntkdist.pipeline.operator import open_operator
from ntkdist.store import RunStore
from ntkdist.tiling import Tiling

Array = NDArray[Any]


class Session:
    """One run's store opened for analysis; expensive parts are made once, when first needed."""

    def __init__(self, store: RunStore, kernel: TileKernel, config: RunConfig) -> None:
        identity = store.identity
        assert identity is not None
        self.store = store
        self.kernel = kernel
        self.config = config
        self.identity = identity
        self.tiling = Tiling(identity.n, identity.tile)

    @cached_property
    def gram(self) -> Gram:
        """The Gram matrix of the store."""
        return open_gram(self.store, self.kernel, self.config.gram.mode)

    @cached_property
    def targets(self) -> Array:
        """Encoded training targets, (n, k) float64."""
        return self.store.stage_array("inputs", "y_train")

    @cached_property
    def n_test(self) -> int:
        """Number of held-out rows."""
        inputs = self.store.stage("inputs")
        return 0 if inputs is None else int(inputs.result["n_test"])

    def key(self, stage: str, *settings: Any) -> str:
        """Key of a stage: its settings and everything it stands on."""
        content = json.dumps([stage, self.identity.digest, *settings], sort_keys=True, default=str)
        return hashlib.sha256(content.encode()).hexdigest()


def open_gram(store: RunStore, kernel: TileKernel, mode: str) -> Gram:
    """The Gram matrix of a store whose tiles are finished (or, recomputed, need not be)."""
    identity = store.identity
    chosen = open_operator(store, kernel, mode)
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
    )
