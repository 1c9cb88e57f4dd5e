"""Stage 1, inputs: read, validate, split, normalise, digest, and lay the rows down in the run store, block by block.

The source is read twice and never whole: once to validate and digest every row (so that a store of other data is
refused before anything is written), once to write. A finished ``inputs`` stage is not written again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.config import RunConfig
from ntkdist.data import (
    Normaliser,
    RowDigest,
    Source,
    Split,
    Targets,
    check_directions,
    check_lengths,
    check_rows,
    check_targets,
    duplicate_groups,
    encode_targets,
    open_source,
    split_rows,
)
from ntkdist.errors import InputError
from ntkdist.kernels import TileKernel
from ntkdist.pipeline.kernel import build_kernel
from ntkdist.pipeline.progress import Progress, Silent
from ntkdist.store import Identity, RunStore
from ntkdist.tiling import Tiling, auto_tile

Array = NDArray[Any]


@dataclass(frozen=True)
class Prepared:
    """A validated dataset, split and digested, not yet written anywhere."""

    config: RunConfig
    kernel: TileKernel
    source: Source
    split: Split
    targets: Targets
    normaliser: Normaliser
    digest: str
    duplicates: list[Array]

    @property
    def identity(self) -> Identity:
        """Identity of the Gram matrix of the training rows."""
        n, gram = len(self.split.train), self.config.gram
        tile = auto_tile(n, self.config.cluster.workers) if gram.tile == "auto" else min(gram.tile, n)
        return Identity(
            kernel=self.kernel.fingerprint,
            which=self.config.kernel.which,
            data=self.digest,
            compute=gram.compute,
            storage=gram.storage,
            tile=tile,
            n=n,
        )

    def blocks(self) -> Iterator[tuple[Array, Array, Array]]:
        """Yield (row numbers, normalised rows, is training row) block by block."""
        is_train = np.zeros(self.source.n, dtype=bool)
        is_train[self.split.train] = True
        yield from _normalised(self.config, self.kernel, self.source, self.normaliser, is_train)

    def describe(self) -> dict[str, Any]:
        """The ``data`` section of the results."""
        return {
            "source": self.config.data.path,
            "n_train": len(self.split.train),
            "n_test": len(self.split.test),
            "features": self.source.features,
            "outputs": int(self.targets.values.shape[1]),
            "task": self.targets.task,
            "classes": None if self.targets.classes is None else [str(c) for c in self.targets.classes],
            "encoding": self.targets.encoding,
            "normalise": self.config.data.normalise,
            "constant_features": len(self.normaliser.constant_features),
            "duplicate_groups": len(self.duplicates),
            "duplicate_rows": int(sum(len(g) - 1 for g in self.duplicates)),
            "seed": self.config.data.seed,
            "digest": self.digest,
        }


def prepare(config: RunConfig, progress: Progress | None = None) -> Prepared:
    """Read and validate everything a run needs; nothing is written.

    Raises
    ------
    InputError
        Missing or unreadable file, NaN or Inf (with row numbers), x and y of different length, zero rows where the
        kernel needs a direction, an unknown activation, and the like.
    """
    progress = progress or Silent()
    kernel = build_kernel(config.kernel)
    source = open_source(config.data.path, config.data.x, config.data.y)
    kernel = kernel.for_inputs((source.features,))
    if not source.has_targets:
        raise InputError(f"{config.data.path} holds no targets {config.data.y!r}; name them with --set data.y=…")
    targets = _read_targets(config, source)
    labels = targets.labels if targets.task == "classification" else None
    split = split_rows(source.n, config.data.test_fraction, config.data.seed, labels)
    for start in range(0, source.n, config.data.block_rows):
        stop = min(source.n, start + config.data.block_rows)
        check_rows(source.rows(start, stop), start)
    normaliser = Normaliser.fit(source, split.train, config.data.normalise)
    is_train = np.zeros(source.n, dtype=bool)
    is_train[split.train] = True
    progress.start("inputs", source.n, "rows")
    train, test = RowDigest(), RowDigest()
    for rows, block, mask in _normalised(config, kernel, source, normaliser, is_train):
        train.update(block[mask])
        test.update(block[~mask])
        progress.update(int(rows[-1]) + 1)
    for digest, index in ((train, split.train), (test, split.test)):
        digest.update(targets.values[index])
    duplicates = duplicate_groups(
        block[mask] for _, block, mask in _normalised(config, kernel, source, normaliser, is_train)
    )
    progress.finish()
    together = RowDigest()
    together.update(np.frombuffer((train.hexdigest() + test.hexdigest()).encode(), dtype=np.uint8)[None, :])
    return Prepared(config, kernel, source, split, targets, normaliser, together.hexdigest(), list(duplicates))


def write_inputs(prepared: Prepared, store: RunStore) -> None:
    """Write the ``inputs`` stage unless it is finished; the store must have been claimed."""
    if store.stage("inputs", prepared.digest) is not None:
        return
    split, dtype = prepared.split, np.dtype(prepared.config.gram.compute)
    store.drop_stage("inputs")
    tile = Tiling(len(split.train), prepared.identity.tile).tile
    shapes = {"x_train": len(split.train), "x_test": len(split.test)}
    features = prepared.source.features
    for name, rows in shapes.items():
        store.make_array(f"inputs/{name}", (rows, features), (max(1, min(tile, rows)), features), dtype)
    written = dict.fromkeys(shapes, 0)
    for _, block, mask in prepared.blocks():
        for name, part in (("x_train", block[mask]), ("x_test", block[~mask])):
            store.write_rows(f"inputs/{name}", written[name], part.astype(dtype))
            written[name] += len(part)
    values = prepared.targets.values
    arrays: dict[str, Array] = {
        "y_train": values[split.train],
        "y_test": values[split.test],
        "train_rows": split.train,
        "test_rows": split.test,
        "duplicates": _ragged(prepared.duplicates),
    }
    result = {**prepared.describe(), "normaliser": prepared.normaliser.to_dict()}
    store.finish_stage("inputs", prepared.digest, result, arrays, keep=True)


def _read_targets(config: RunConfig, source: Source) -> Targets:
    parts = []
    for start in range(0, source.n, config.data.block_rows):
        part = source.targets(start, min(source.n, start + config.data.block_rows))
        assert part is not None
        check_targets(part, start)
        parts.append(part)
    if not parts:
        raise InputError(f"{config.data.path} holds no rows.")
    y = np.concatenate(parts)
    check_lengths(source.n, len(y))
    return encode_targets(y, config.data.task)


def _normalised(
    config: RunConfig, kernel: TileKernel, source: Source, normaliser: Normaliser, is_train: Array
) -> Iterator[tuple[Array, Array, Array]]:
    dtype = np.dtype(config.gram.compute)
    for start in range(0, source.n, config.data.block_rows):
        stop = min(source.n, start + config.data.block_rows)
        rows = np.arange(start, stop)
        block = normaliser.apply(np.asarray(source.rows(start, stop), dtype=np.float64))
        check_rows(block.astype(dtype), start, "x (normalised)")
        if kernel.needs_direction:
            check_directions(block, rows)
        yield rows, block, is_train[start:stop]


def _ragged(groups: list[Array]) -> Array:
    """Groups of equal rows as (row, group) pairs."""
    pairs = [(int(row), g) for g, group in enumerate(groups) for row in group]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)
