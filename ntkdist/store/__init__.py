"""The run store: layout, tiles, receipts, identity, integrity."""

from ntkdist.store.durable import disk_errors, refuse_without_room, sweep_partial
from ntkdist.store.identity import Identity
from ntkdist.store.lock import writer_lock
from ntkdist.store.receipts import Receipt
from ntkdist.store.run_store import RunStore, StageResult
from ntkdist.store.tiles import TileStore

__all__ = [
    "Identity",
    "Receipt",
    "RunStore",
    "StageResult",
    "TileStore",
    "disk_errors",
    "refuse_without_room",
    "sweep_partial",
    "writer_lock",
]
