"""The run store: layout, tiles, receipts, identity, integrity."""

from ntkdist.store.append import appended, commit_append, finish_append
from ntkdist.store.chunks import Chunks
from ntkdist.store.durable import disk_errors, refuse_without_room, sweep_partial
from ntkdist.store.identity import Identity
from ntkdist.store.lock import writer_lock
from ntkdist.store.metadata import damaged_arrays, restore_arrays, restore_root
from ntkdist.store.receipts import Place, Receipt
from ntkdist.store.run_store import RunStore
from ntkdist.store.stages import StageResult
from ntkdist.store.tiles import TileStore
from ntkdist.store.writing import writing

__all__ = [
    "Chunks",
    "Identity",
    "Place",
    "Receipt",
    "RunStore",
    "StageResult",
    "TileStore",
    "appended",
    "commit_append",
    "damaged_arrays",
    "disk_errors",
    "finish_append",
    "refuse_without_room",
    "restore_arrays",
    "restore_root",
    "sweep_partial",
    "writer_lock",
    "writing",
]
