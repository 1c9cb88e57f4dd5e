"""Stage 1b, writing: the rows a kernel sees, in the run store, block by block.

``inputs/x_train`` and ``inputs/x_test`` are cut like the Gram matrix: a worker that computes a tile reads whole
blocks. Each block is written, flushed and receipted on its own, so that an interrupted run goes on where it was; the
stage is finished when targets, row numbers and the groups of equal rows stand beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.data import differing_targets, duplicate_groups, piece_rows
from ntkdist.moments import _checkpoint
from ntkdist.pipeline.prepare import Prepared
from ntkdist.pipeline.progress import Progress, Silent
from ntkdist.store import Chunks, RunStore
from ntkdist.tiling import Grid

Array = NDArray[Any]
Block = tuple[str, int]
PARTS = ("x_train", "x_test")


def write_inputs(prepared: Prepared, store: RunStore, progress: Progress | None = None) -> None:
    """Write the ``inputs`` stage unless it is finished; the store must have been claimed."""
    progress = progress or Silent()
    ranges = begin_inputs(prepared, store)
    if ranges is None:
        return
    progress.start("inputs", prepared.source.n, "rows")
    done = prepared.source.n - sum(rows_of(prepared, blocks) for blocks in ranges)
    for blocks in ranges:
        done += write_blocks(prepared, store, blocks)
        progress.update(done)
    finish_inputs(prepared, store)
    progress.finish()


def begin_inputs(prepared: Prepared, store: RunStore) -> list[list[Block]] | None:
    """Create the arrays, or find those of an interrupted run.

    Returns the blocks that are missing, in ranges of about ``data.block_rows`` rows; None if the stage is finished.
    """
    finished = store.stage("inputs")
    # Appended rows change the stage's key; the identity was compared when the store was claimed.
    if finished is not None and prepared.digest in (finished.key, finished.result.get("base")):
        return None
    if not store.begun("inputs", prepared.digest):
        store.drop_stage("inputs")
        tile, width = prepared.identity.tile, prepared.source.features
        for part in PARTS:
            rows = len(_numbers(prepared, part))
            grid = Grid(rows, width, max(1, min(tile, rows)), width)
            store.make_rows(f"inputs/{part}", grid, np.dtype(prepared.config.gram.compute))
        store.begin_stage("inputs", prepared.digest)
    missing = [(part, i) for part in PARTS for i, _ in store.rows(f"inputs/{part}").missing()]
    ranges: list[list[Block]] = [[]]
    for block in missing:
        if rows_of(prepared, ranges[-1]) >= prepared.config.data.block_rows:
            ranges.append([])
        ranges[-1].append(block)
    return ranges if missing else []


def write_blocks(prepared: Prepared, store: RunStore, blocks: list[Block]) -> int:
    """Write and receipt blocks; returns how many rows they hold."""
    written = 0
    for part, i in blocks:
        chunks = store.rows(f"inputs/{part}")
        numbers = _numbers(prepared, part)[chunks.grid.rows(i)]
        rows = _read(prepared, numbers)
        chunks.record([chunks.write(i, 0, rows, 0.0)])
        _checkpoint("inputs.block", part, i)
        written += len(rows)
    return written


def finish_inputs(prepared: Prepared, store: RunStore) -> None:
    """Write targets, row numbers and groups of equal rows, and declare the stage finished."""
    values, split = prepared.targets.values, prepared.split
    groups = equal_rows(store.rows("inputs/x_train"))
    arrays: dict[str, Array] = {
        "y_train": values[split.train],
        "y_test": values[split.test],
        "train_rows": split.train,
        "test_rows": split.test,
        "duplicates": ragged(groups),
    }
    result = {
        **prepared.describe(),
        **count_equal(groups, arrays["y_train"]),
        "normaliser": prepared.normaliser.to_dict(),
        "signature": prepared.signature,
    }
    store.finish_stage("inputs", prepared.digest, result, arrays, keep=True)


def write_rows(chunks: Chunks[Grid], rows: Array) -> None:
    """Write and receipt the blocks that are missing, from rows in memory."""
    for i, _ in chunks.missing():
        chunks.record([chunks.write(i, 0, np.asarray(rows[chunks.grid.rows(i)]), 0.0)])


def equal_rows(chunks: Chunks[Grid]) -> list[Array]:
    """Groups of equal rows of an array in a store, found block by block."""
    bands = range(chunks.grid.blocks[0])
    tall = chunks.grid.tall
    groups = duplicate_groups((chunks.read(i, 0) for i in bands), lambda k: chunks.read(k // tall, 0)[k % tall])
    return list(groups)


def count_equal(groups: list[Array], y: Array) -> dict[str, int]:
    """How many rows are equal to an earlier one, and in how many groups the targets differ."""
    return {
        "duplicate_groups": len(groups),
        "duplicate_rows": int(sum(len(g) - 1 for g in groups)),
        "conflicting_groups": differing_targets(groups, y),
    }


def ragged(groups: list[Array]) -> Array:
    """Groups of equal rows as (row, group) pairs."""
    pairs = [(int(row), g) for g, group in enumerate(groups) for row in group]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def rows_of(prepared: Prepared, blocks: list[Block]) -> int:
    """Number of rows in blocks."""
    tile = prepared.identity.tile
    return sum(min(tile, len(_numbers(prepared, part)) - i * tile) for part, i in blocks)


def _numbers(prepared: Prepared, part: str) -> Array:
    return prepared.split.train if part == "x_train" else prepared.split.test


def _read(prepared: Prepared, numbers: Array) -> Array:
    """The finished rows with these (sorted) numbers, read in pieces."""
    return np.concatenate(list(_pieces(prepared, numbers)))


def _pieces(prepared: Prepared, numbers: Array) -> Iterator[Array]:
    step = piece_rows(prepared.source.features)
    first, last = int(numbers[0]), int(numbers[-1]) + 1
    for start in range(first, last, step):
        stop = min(last, start + step)
        wanted = numbers[np.searchsorted(numbers, start) : np.searchsorted(numbers, stop)]
        if len(wanted):
            raw = np.asarray(prepared.source.rows(start, stop), dtype=np.float64)[wanted - start]
            yield prepared.finished_block(raw, wanted)
