"""Stage 1a, reading: open, validate, split and digest a dataset range by range; nothing is written.

Every row is read once here, so that bad input and a store of other data are refused before anything is written, and
once more by :mod:`ntkdist.pipeline.inputs`. Files that are still those a finished store was made from are not read
again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.config import RunConfig
from ntkdist.data import (
    Normaliser,
    Piece,
    RowDigest,
    Source,
    Split,
    Targets,
    check_directions,
    check_lengths,
    check_precision,
    check_rows,
    check_targets,
    encode_targets,
    open_source,
    piece_rows,
    scan_piece,
    signature,
    split_rows,
)
from ntkdist.errors import InputError, NtkdistError
from ntkdist.kernels import TileKernel
from ntkdist.pipeline.kernel import kernel_for, refuse_beyond_limit
from ntkdist.pipeline.progress import Progress, Silent
from ntkdist.store import Identity, RunStore
from ntkdist.tiling import auto_tile

Array = NDArray[Any]
Range = tuple[int, int]


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
    signature: str
    stored: Identity | None = None

    @property
    def identity(self) -> Identity:
        """Identity of the Gram matrix of the training rows."""
        n, gram = len(self.split.train), self.config.gram
        if gram.tile != "auto":
            tile = min(gram.tile, n)
        elif self.stored is not None and self.stored.n == n:
            tile = self.stored.tile  # whatever the number of workers was then
        else:
            work = self.kernel.work(1, 1, self.source.features)
            tile = auto_tile(n, self.config.cluster.workers, work)
        return Identity(
            kernel=self.kernel.fingerprint,
            which=self.config.kernel.which,
            data=self.digest,
            compute=gram.compute,
            storage=gram.storage,
            tile=tile,
            n=n,
        )

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """(h, w, c) or (h, w) of the images the rows are, None for rows that are none."""
        return self.config.data.image_shape or (self.source.shape if len(self.source.shape) > 1 else None)

    def finished_block(self, raw: Array, numbers: Array) -> Array:
        """Normalise, check and round rows (m, features) whose numbers in the dataset are ``numbers``."""
        block = check_precision(self.normaliser.apply(raw), numbers, np.dtype(self.config.gram.compute))
        if self.kernel.needs_direction:
            check_directions(block, numbers)
        return block

    def describe(self) -> dict[str, Any]:
        """The ``data`` section of the results, but for what is only known when the rows are written."""
        return {
            "source": self.config.data.path,
            "n_train": len(self.split.train),
            "n_test": len(self.split.test),
            "features": self.source.features,
            "image_shape": None if self.image_shape is None else list(self.image_shape),
            "outputs": int(self.targets.values.shape[1]),
            "task": self.targets.task,
            "classes": None if self.targets.classes is None else [str(c) for c in self.targets.classes],
            "encoding": self.targets.encoding,
            "normalise": self.config.data.normalise,
            "constant_features": len(self.normaliser.constant_features),
            "seed": self.config.data.seed,
            "digest": self.digest,
        }


class Preparation:
    """The reading of a dataset, range by range: :meth:`scan` every range in any order, then :meth:`finish`."""

    def __init__(self, config: RunConfig, *, again: bool = False) -> None:
        self.config = config
        data = config.data
        self.source = open_source(data.path, data.x, data.y)
        self.kernel = kernel_for(config, self.source.shape)
        refuse_beyond_limit(config, self.kernel, self.source.n, self.source.features)
        if not self.source.has_targets:
            raise InputError(f"{data.path} holds no targets {data.y!r}; name them with --set data.y=…")
        self.targets = _read_targets(config, self.source)
        labels = self.targets.labels if self.targets.task == "classification" else None
        self.split = split_rows(self.source.n, data.test_fraction, data.seed, labels)
        self._is_train = np.zeros(self.source.n, dtype=bool)
        self._is_train[self.split.train] = True
        self._pieces: dict[int, Piece] = {}
        self.signature = _signature(config)
        self._known, self._stored = _known(config, self.signature)
        if again:
            self._known = None

    @property
    def ranges(self) -> list[Range]:
        """Ranges of rows to scan, whole pieces of about ``data.block_rows`` rows; none if the files are known."""
        if self._known is not None:
            return []
        piece = piece_rows(self.source.features)
        step = max(1, self.config.data.block_rows // piece) * piece
        return [(start, min(self.source.n, start + step)) for start in range(0, self.source.n, step)]

    def scan(self, rows: Range) -> int:
        """Read, validate and digest one range; returns its number of rows."""
        piece = piece_rows(self.source.features)
        how = self.config.data.normalise
        early = Normaliser(how) if how != "standardise" else None
        for start in range(*rows, piece):
            stop = min(rows[1], start + piece)
            block = self.source.rows(start, stop)
            check_rows(block, start)
            if early is not None:
                prepared = self._prepared(early, "")
                prepared.finished_block(block, np.arange(start, stop))
            self._pieces[start] = scan_piece(block, self._is_train[start:stop])
        return rows[1] - rows[0]

    def finish(self) -> Prepared:
        """Join the ranges."""
        if self._known is not None:
            return self._prepared(Normaliser.from_dict(self._known["normaliser"]), self._known["digest"])
        pieces = [self._pieces[start] for start in sorted(self._pieces)]
        normaliser = Normaliser.join(pieces, self.config.data.normalise)
        values = RowDigest()
        values.update(self.targets.values)
        parts = RowDigest()
        parts.update(self._is_train[:, None])
        content = {
            "rows": hashlib.sha256(b"".join(p.digest for p in pieces)).hexdigest(),
            "features": self.source.features,
            "targets": values.hexdigest(),
            "split": parts.hexdigest(),
            "normalise": self.config.data.normalise,
        }
        return self._prepared(normaliser, hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest())

    def _prepared(self, normaliser: Normaliser, digest: str) -> Prepared:
        return Prepared(
            self.config,
            self.kernel,
            self.source,
            self.split,
            self.targets,
            normaliser,
            digest,
            self.signature,
            self._stored,
        )


def prepare(config: RunConfig, progress: Progress | None = None, *, again: bool = False) -> Prepared:
    """Read and validate everything a run needs; nothing is written.

    ``again`` reads files even if they are those the store was made from.

    Raises
    ------
    InputError
        Missing or unreadable file, NaN or Inf (with row numbers), x and y of different length, zero rows where the
        kernel needs a direction, an unknown activation, and the like.
    """
    progress = progress or Silent()
    preparation = Preparation(config, again=again)
    progress.start("read", preparation.source.n, "rows")
    done = 0
    for rows in preparation.ranges:
        done += preparation.scan(rows)
        progress.update(done)
    progress.finish()
    return preparation.finish()


def _signature(config: RunConfig) -> str:
    settings = config.data.model_dump(exclude={"block_rows"})
    content = json.dumps([signature(config.data.path, config.data.y), settings, config.gram.compute], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _known(config: RunConfig, mark: str) -> tuple[dict[str, Any] | None, Identity | None]:
    """What the store already knows of these very files, and the identity it has."""
    root = Path(config.store)
    if not (root / "zarr.json").is_file():
        return None, None
    try:
        store = RunStore(root, mode="r+")
    except NtkdistError:
        return None, None  # told when the store is opened for writing
    inputs = store.stage("inputs")
    if inputs is None or inputs.result.get("signature") != mark:
        return None, store.base
    return inputs.result, store.base


def _read_targets(config: RunConfig, source: Source) -> Targets:
    parts = []
    for start in range(0, source.n, config.data.block_rows):
        part = source.targets(start, min(source.n, start + config.data.block_rows))
        assert part is not None
        check_targets(part, start)
        parts.append(part)
    y = np.concatenate(parts)
    check_lengths(source.n, len(y))
    return encode_targets(y, config.data.task)
