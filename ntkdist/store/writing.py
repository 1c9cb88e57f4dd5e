"""Opening a run store for writing: one writer at a time, after what the last one left has been put in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ntkdist.store.append import finish_append
from ntkdist.store.durable import sweep_partial
from ntkdist.store.lock import writer_lock
from ntkdist.store.run_store import RunStore


@contextmanager
def writing(root: Path, *, unlock: bool = False, create: bool = True) -> Iterator[RunStore]:
    """Open a run store for writing: locked, swept of what a killed writer left, an interrupted append finished."""
    if create:
        RunStore.create(root)
    else:
        RunStore(root, mode="r+")
    with writer_lock(root, unlock=unlock):
        sweep_partial(root)
        # Opened under the lock: another writer may have changed the store before it was ours.
        store = RunStore(root, mode="r+")
        finish_append(store)
        yield store
