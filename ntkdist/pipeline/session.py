"""What the stages after the Gram matrix share: the store, the kernel, the operator and the preconditioner."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.config import RunConfig
from ntkdist.kernels import Kernel
from ntkdist.linalg import LowRankPreconditioner, default_rank, rpcholesky
from ntkdist.pipeline.operator import ChosenOperator, open_operator
from ntkdist.store import RunStore
from ntkdist.tiling import Tiling

Array = NDArray[Any]


class Session:
    """One run's store opened for analysis; expensive parts are made once, when first needed."""

    def __init__(self, store: RunStore, kernel: Kernel, config: RunConfig) -> None:
        identity = store.identity
        assert identity is not None
        self.store = store
        self.kernel = kernel
        self.config = config
        self.identity = identity
        self.tiling = Tiling(identity.n, identity.tile)

    @cached_property
    def chosen(self) -> ChosenOperator:
        """The Gram operator with its mode and the reason for it."""
        return open_operator(self.store, self.kernel, self.config.gram.mode)

    @cached_property
    def preconditioner(self) -> LowRankPreconditioner:
        """Accelerated randomly pivoted Cholesky of the Gram matrix, shared by solves and eigensolves."""
        return rpcholesky(self.chosen.operator, default_rank(self.identity.n), seed=0)

    @cached_property
    def targets(self) -> Array:
        """Encoded training targets, (n, k) float64."""
        return self.store.stage_array("inputs", "y_train")

    @cached_property
    def duplicates(self) -> list[Array]:
        """Groups of bit-equal training rows."""
        pairs = self.store.stage_array("inputs", "duplicates")
        return [pairs[pairs[:, 1] == g, 0] for g in np.unique(pairs[:, 1])]

    @cached_property
    def error_norm(self) -> float:
        """Bound on ‖K̃ − K‖₂: compute error of the entries plus the rounding of the stored tiles (Frobenius)."""
        relative = self.kernel.entry_error(np.dtype(self.identity.compute), which=self.identity.which).relative
        diagonal = self.chosen.operator.diagonal()
        # |K_ij| ≤ √(K_ii K_jj), so the Frobenius norm of the entry errors is at most relative · tr K.
        compute = relative * float(np.sum(diagonal))
        rounding = 0.0
        if self.chosen.stored:
            rounding = sum(r.rounding * (1 if r.i == r.j else 2) for r in self.store.tiles.receipts())
        return float((compute + np.sqrt(rounding)) * (1 + 1e-12))

    def key(self, stage: str, *settings: Any) -> str:
        """Key of a stage: its settings and everything it stands on."""
        content = json.dumps([stage, self.identity.digest, *settings], sort_keys=True, default=str)
        return hashlib.sha256(content.encode()).hexdigest()
