"""Zarr's local store with durable writes: see :mod:`ntkdist.store.disk` for the order of its steps.

Zarr's own ``LocalStore`` renames complete files into place but does not flush them, so that after a power cut a
receipt could outlive its tile.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import zarr
from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore

from ntkdist.moments import _checkpoint
from ntkdist.store.disk import remove_file, remove_folder, write_file


class DurableStore(LocalStore):
    """A local Zarr store whose writes are on the disk when they return."""

    async def get(
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """Read a key; None when there is none."""
        _checkpoint("disk.read", self.root / key)
        return await super().get(key, prototype, byte_range)

    async def set(self, key: str, value: Buffer) -> None:
        """Write a key durably."""
        self._check_writable()
        await asyncio.to_thread(write_file, self.root / key, _view(value))

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write a key durably unless it is there."""
        self._check_writable()
        try:
            await asyncio.to_thread(write_file, self.root / key, _view(value), exclusive=True)
        except FileExistsError:
            return

    async def delete(self, key: str) -> None:
        """Remove a key, or a whole prefix."""
        self._check_writable()
        path = self.root / key
        await asyncio.to_thread(remove_folder if path.is_dir() else remove_file, path)

    async def delete_dir(self, prefix: str) -> None:
        """Remove a whole prefix."""
        self._check_writable()
        await asyncio.to_thread(remove_folder, self.root / prefix)


def open_group(root: Path, *, writable: bool) -> zarr.Group:
    """Open the Zarr v3 group at ``root``."""
    store = DurableStore(root, read_only=not writable)
    return zarr.open_group(store, mode="r+" if writable else "r", zarr_format=3)


def _view(value: Buffer) -> memoryview:
    return memoryview(value.as_buffer_like()).cast("B")
