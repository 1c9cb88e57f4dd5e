"""New rows for an existing matrix: only the tiles that touch them are computed.

New rows are normalised as the run's own training rows were (the statistics are not fitted again) and become training
rows behind the others. A last band of tiles that was not full is computed again as a whole, so that the grown matrix
has, bit for bit, the tiles of a matrix made of all rows at once. Spectrum, weights, statements and predictions of the
old matrix are withdrawn; its weights stay as the place where the next iterative solve starts, and its headline
numbers stay beside the lot of rows that replaced them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from distributed import Client
from numpy.typing import NDArray

from ntkdist.config import ClusterConfig
from ntkdist.data import (
    Normaliser,
    RowDigest,
    Source,
    check_directions,
    check_precision,
    check_rows,
    check_targets,
    duplicate_groups,
    open_source,
    piece_rows,
)
from ntkdist.errors import InputError
from ntkdist.moments import _checkpoint
from ntkdist.pipeline.gram import compute_gram
from ntkdist.pipeline.inputs import count_equal, ragged
from ntkdist.pipeline.open_run import stored_kernel
from ntkdist.pipeline.progress import Progress, Silent
from ntkdist.pipeline.run import gram_client
from ntkdist.pipeline.session import EARLIER_WEIGHTS
from ntkdist.report.headline import headline
from ntkdist.store import (
    Identity,
    RunStore,
    appended,
    commit_append,
    disk_errors,
    finish_append,
    refuse_without_room,
    writing,
)
from ntkdist.tiling import Grid, Tiling

Array = NDArray[Any]


def append_file(
    root: Path,
    path: str,
    *,
    x: str = "x",
    y: str = "y",
    cluster: ClusterConfig | None = None,
    unlock: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Append the dataset at ``path``; see :func:`append_rows`."""
    return append_rows(root, open_source(path, x, y), cluster=cluster, unlock=unlock, progress=progress)


def append_rows(
    root: Path,
    source: Source,
    *,
    client: Client | None = None,
    cluster: ClusterConfig | None = None,
    unlock: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Append all rows of a source as training rows, and compute the tiles that are missing.

    Interrupted, the same call continues; the same rows again, once they are the last ones appended, change nothing.

    Raises
    ------
    InputError
        The run has no finished inputs, or the rows do not fit it (width, targets, NaN, an unknown class).
    """
    progress = progress or Silent()
    with writing(root, unlock=unlock, create=False) as store:
        identity, inputs = store.identity, store.stage("inputs")
        if identity is None or inputs is None:
            raise InputError(f"{root} has no finished inputs yet; start its run again to continue it.")
        rows = _NewRows(store, source, identity, inputs.result)
        digest = rows.validate()
        lots = appended(store)
        repeated = bool(lots) and lots[-1]["digest"] == digest
        if not repeated:
            _stage(store, rows, identity, inputs.key, inputs.result)
            grown = _grown(store, rows, identity, digest)
            lot = {"source": source.name, "rows": source.n, "digest": digest, "before": _headline(store)}
            commit_append(store, grown, lot)
            finish_append(store)
            _checkpoint("append.done")
        computed = _compute(store, client, cluster, progress)
        now = store.identity
        assert now is not None
        return {
            "run": str(root),
            "appended": 0 if repeated else source.n,
            "n": now.n,
            "tiles": Tiling(now.n, now.tile).count,
            "computed": computed,
            "identity": now.digest,
        }


def _compute(store: RunStore, client: Client | None, cluster: ClusterConfig | None, progress: Progress) -> int:
    tree = store.group.attrs.get("config")
    if isinstance(tree, dict) and tree["gram"]["mode"] == "recomputed":
        return 0
    if not store.tiles.missing():
        return 0
    with ExitStack() as stack:
        workers = client or stack.enter_context(gram_client(cluster or ClusterConfig()))
        return compute_gram(store, stored_kernel(store), workers, progress=progress)


class _NewRows:
    """The rows to append, checked and finished like the run's own."""

    def __init__(self, store: RunStore, source: Source, identity: Identity, inputs: dict[str, Any]) -> None:
        self.source = source
        self.dtype = np.dtype(identity.compute)
        self._inputs = inputs
        self._normaliser = Normaliser.from_dict(inputs["normaliser"]) if "normaliser" in inputs else Normaliser("none")
        self._kernel = stored_kernel(store)
        if source.features != inputs["features"]:
            raise InputError(
                f"{source.name} has {source.features} features, but the rows of {store.root} have {inputs['features']}."
            )
        self.values = self._targets(store)

    def validate(self) -> str:
        """Read all rows once; a digest of them as the kernel will see them, with their targets."""
        digest = RowDigest()
        for block in self.blocks():
            digest.update(block)
        if self.values is not None:
            digest.update(self.values)
        return digest.hexdigest()

    def blocks(self) -> Iterator[Array]:
        """The finished rows, piece by piece."""
        step = piece_rows(self.source.features)
        for start in range(0, self.source.n, step):
            stop = min(self.source.n, start + step)
            raw = self.source.rows(start, stop)
            check_rows(raw, start)
            numbers = np.arange(start, stop)
            block = check_precision(self._normaliser.apply(raw), numbers, self.dtype)
            if self._kernel.needs_direction:
                check_directions(block, numbers)
            yield block

    def _targets(self, store: RunStore) -> Array | None:
        outputs = self._inputs.get("outputs")
        if outputs is None:
            return None
        y = self.source.targets(0, self.source.n)
        if y is None:
            raise InputError(f"{self.source.name} holds no targets, but {store.root} was made with some.")
        check_targets(y, 0)
        classes = self._inputs["classes"]
        if classes is None:
            if y.dtype.kind not in "fiub":
                raise InputError(f"y has dtype {y.dtype}, but the targets of {store.root} are numbers.")
            values = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
            if values.shape[1] != outputs:
                raise InputError(f"y has {values.shape[1]} columns, but the targets of {store.root} have {outputs}.")
            return values
        names = [str(c) for c in np.unique(y)]
        unknown = [name for name in names if name not in classes]
        if unknown:
            raise InputError(
                f"y holds the class {unknown[0]!r}, but {store.root} was made with the classes {', '.join(classes)}."
            )
        place = {name: k for k, name in enumerate(classes)}
        labels = np.array([place[str(c)] for c in y.reshape(-1)])
        values = np.full((len(labels), len(classes)), -1.0 / len(classes))
        values[np.arange(len(labels)), labels] += 1.0
        return values


def _stage(store: RunStore, rows: _NewRows, identity: Identity, key: str, inputs: dict[str, Any]) -> None:
    """Write everything the grown inputs will hold to ``append/``, and declare it finished."""
    tile, added, features = identity.tile, rows.source.n, rows.source.features
    n, first = identity.n + added, identity.n // tile
    item = rows.dtype.itemsize
    tiles = Tiling(n, tile).stored_entries() - Tiling(identity.n, tile).stored_entries()
    refuse_without_room(store.root, 2 * added * features * item + tiles * np.dtype(identity.storage).itemsize)
    old = store.rows("inputs/x_train")
    kept = old.read(first, 0) if identity.n % tile else np.empty((0, features), rows.dtype)
    with disk_errors(store.root):
        store.group.require_group("append")
    staged = store.make_rows("append/x", Grid(n - first * tile, features, tile, features), rows.dtype)
    buffer, i = [kept], 0
    for block in rows.blocks():
        buffer.append(block)
        while sum(map(len, buffer)) >= tile:
            ready = np.concatenate(buffer)
            staged.record([staged.write(i, 0, ready[:tile], 0.0)])
            buffer, i = [ready[tile:]], i + 1
    rest = np.concatenate(buffer)
    if len(rest):
        staged.record([staged.write(i, 0, rest, 0.0)])

    def row(k: int) -> Array:
        band, at = divmod(k, tile)
        block = old.read(band, 0) if band < first else staged.read(band - first, 0)
        return np.asarray(block[at])

    def every() -> Iterator[Array]:
        yield from (old.read(band, 0) for band in range(first))
        yield from (staged.read(band, 0) for band, _ in staged.grid)

    groups = list(duplicate_groups(every(), row))
    arrays = _arrays(store, rows, identity.n, groups)
    result = {**inputs, "n_train": n, "appended": inputs.get("appended", 0) + added, "base": inputs.get("base", key)}
    if "y_train" in arrays:
        result |= count_equal(groups, arrays["y_train"])
    new_key = hashlib.sha256(json.dumps([key, result], sort_keys=True).encode()).hexdigest()
    store.finish_stage("append", new_key, result, arrays, keep=True)


def _arrays(store: RunStore, rows: _NewRows, n: int, groups: list[Array]) -> dict[str, Array]:
    """Every array of the grown ``inputs`` but the rows; new rows are numbered on."""
    finished = store.stage("inputs")
    assert finished is not None
    arrays = {label: store.stage_array("inputs", label) for label in finished.arrays}
    highest = max(int(a.max()) for a in (arrays["train_rows"], arrays.get("test_rows", arrays["train_rows"])) if len(a))
    arrays["train_rows"] = np.concatenate([arrays["train_rows"], highest + 1 + np.arange(rows.source.n)])
    arrays["duplicates"] = ragged(groups)
    if rows.values is not None:
        arrays["y_train"] = np.concatenate([arrays["y_train"], rows.values])
    known = store.stage_array("solution", "weights") if store.stage("solution") else arrays.get(EARLIER_WEIGHTS)
    if known is not None and rows.values is not None and known.shape == (n, rows.values.shape[1]):
        arrays[EARLIER_WEIGHTS] = np.concatenate([known, np.zeros((rows.source.n, known.shape[1]))])
    return arrays


def _headline(store: RunStore) -> list[dict[str, str]]:
    """The numbers that the append withdraws, as a reader knew them."""
    stages = {name: store.stage(name) for name in ("spectrum", "theory", "predictions")}
    results = {name: stage.result for name, stage in stages.items() if stage is not None}
    return [vars(number) for number in headline(results)]


def _grown(store: RunStore, rows: _NewRows, identity: Identity, digest: str) -> Identity:
    """The identity of the grown matrix.

    A matrix of bare rows is known by all its rows, so that it equals one made of them at once; a run that also has
    targets and held-out rows is known by the chain of what was added to it.
    """
    if rows.values is None:
        everything = RowDigest()
        for i, _ in store.rows("inputs/x_train").grid:
            everything.update(store.rows("inputs/x_train").read(i, 0))
        for block in rows.blocks():
            everything.update(block)
        data = everything.hexdigest()
    else:
        data = hashlib.sha256(json.dumps([identity.data, digest]).encode()).hexdigest()
    return replace(identity, data=data, n=identity.n + rows.source.n)
