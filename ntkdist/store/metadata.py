"""Descriptions (``zarr.json``) that can be made again: the root's from its copy, the arrays' from the identity."""

from __future__ import annotations

import json
from pathlib import Path

import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import MemoryStore

from ntkdist.errors import ChecksFailed
from ntkdist.store.attributes import intact
from ntkdist.store.disk import write_file
from ntkdist.store.run_store import COPY, RunStore
from ntkdist.store.tiles import create_tiles
from ntkdist.tiling import Tiling

ARRAYS = ("gram", "receipts")


def restore_root(root: Path) -> bool:
    """Put the root's description back from its copy if it is damaged; whether that was needed.

    Raises
    ------
    ChecksFailed
        Both are damaged: the tiles can no longer be told from another run's.
    """
    if _good(root / "zarr.json"):
        return False
    if not _good(root / COPY):
        if not (root / COPY).exists():
            return False  # not a run store, or one that was never claimed: opening it says so
        raise ChecksFailed(
            f"Both descriptions of {root} (zarr.json and {COPY}) are damaged, so its tiles cannot be told from another "
            "run's; remove it and start the run again."
        )
    write_file(root / "zarr.json", (root / COPY).read_bytes())
    return True


def damaged_arrays(store: RunStore) -> list[str]:
    """Of ``gram`` and ``receipts``, those whose description is not what the identity says."""
    expected = _expected(store)
    return [name for name in expected if _parsed(store.root / name / "zarr.json") != json.loads(expected[name])]


def restore_arrays(store: RunStore, names: list[str]) -> None:
    """Write the descriptions of these arrays again."""
    expected = _expected(store)
    for name in names:
        write_file(store.root / name / "zarr.json", expected[name])


def _expected(store: RunStore) -> dict[str, bytes]:
    identity, base = store.identity, store.base
    if identity is None or base is None:
        return {}
    memory = MemoryStore()
    group = zarr.create_group(memory, zarr_format=3)
    create_tiles(group, Tiling(identity.n, identity.tile), identity.storage, base.salt)
    return {name: _bytes(memory, f"{name}/zarr.json") for name in ARRAYS}


def _bytes(memory: MemoryStore, key: str) -> bytes:
    value = sync(memory.get(key, default_buffer_prototype()))
    assert value is not None
    return value.to_bytes()


def _good(path: Path) -> bool:
    tree = _parsed(path)
    return isinstance(tree, dict) and isinstance(tree.get("attributes"), dict) and intact(tree["attributes"])


def _parsed(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
