"""One run on disk: a Zarr v3 group with inputs, Gram tiles, receipts and the result of every stage.

Layout: ``inputs/`` (rows by block with receipts, targets, row numbers), ``gram`` and ``receipts``
(:mod:`ntkdist.store.tiles`), ``cross/`` (stored test×train blocks), and one group per later stage
(:mod:`ntkdist.store.stages`). The root's attributes carry the identity of the matrix; a copy of them stands in
``.run.json``, from which a damaged ``zarr.json`` is restored.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from ntkdist.errors import ChecksFailed, InputError
from ntkdist.moments import _checkpoint
from ntkdist.store.attributes import intact, signed
from ntkdist.store.chunks import Chunks, create_chunks
from ntkdist.store.disk import remove_folder, write_file
from ntkdist.store.durable import disk_errors
from ntkdist.store.identity import Identity
from ntkdist.store.local import DurableStore, open_group
from ntkdist.store.stages import Stages
from ntkdist.store.tiles import TileStore, create_tiles
from ntkdist.tiling import Grid, Tiling

FORMAT = 2
COPY = ".run.json"


class RunStore(Stages):
    """A run store on a local or shared file system, opened for reading or (under the lock) writing."""

    def __init__(self, root: str | Path, *, mode: str = "r") -> None:
        self.root = Path(root)
        if not (self.root / "zarr.json").is_file():
            if (self.root / COPY).is_file():
                raise ChecksFailed(_damaged(self.root))
            what = "is not a run store (it has no zarr.json)" if self.root.exists() else "does not exist"
            raise InputError(f"{self.root} {what}; `ntkdist run CONF` makes one.")
        self.group = self._open(mode == "r+")
        if self.group.attrs.get("ntkdist_format") != FORMAT:
            raise InputError(f"{self.root} is a Zarr group, but not a run store of format {FORMAT} written by ntkdist.")
        if not intact(self.group.attrs.asdict()):
            raise ChecksFailed(_damaged(self.root))
        if mode != "r+" and self.pending is not None:
            raise InputError(
                f"Rows are being appended to {self.root}, and that was interrupted; start `ntkdist append` or "
                "`ntkdist run` again to finish it."
            )
        self._rows: dict[str, Chunks[Grid]] = {}

    def _open(self, writable: bool) -> zarr.Group:
        try:
            with disk_errors(self.root):
                return open_group(self.root, writable=writable)
        except (ValueError, KeyError, FileNotFoundError, TypeError) as error:
            if (self.root / COPY).is_file():
                raise ChecksFailed(_damaged(self.root)) from error
            raise InputError(f"{self.root} cannot be opened as a Zarr v3 group: {error}.") from error

    @classmethod
    def create(cls, root: str | Path) -> RunStore:
        """Open the store at ``root`` for writing, making an empty one if there is none."""
        path = Path(root)
        with disk_errors(path):
            if not (path / "zarr.json").exists() and not (path / COPY).exists():
                if path.exists() and (not path.is_dir() or any(_foreign(p) for p in path.iterdir())):
                    raise InputError(f"{path} exists and is not a run store; choose another path with --set store=…")
                zarr.create_group(
                    DurableStore(path), zarr_format=3, attributes=signed({"ntkdist_format": FORMAT}), overwrite=False
                )
            return cls(path, mode="r+")

    @property
    def identity(self) -> Identity | None:
        """The identity of the matrix in here, or None before the inputs are finished."""
        return self._identity("identity")

    @property
    def base(self) -> Identity | None:
        """The identity of the rows the run began with: that of the matrix until rows are appended."""
        return self._identity("base") or self.identity

    @property
    def pending(self) -> dict[str, Any] | None:
        """The append that is being carried out, or None."""
        tree = self.group.attrs.get("pending")
        return dict(tree) if isinstance(tree, Mapping) else None

    def _identity(self, name: str) -> Identity | None:
        tree = self.group.attrs.get(name)
        return Identity.from_dict(dict(tree)) if isinstance(tree, Mapping) else None

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Write attributes of the run durably, and their copy."""
        with disk_errors(self.root):
            self.group.update_attributes(signed({**self.group.attrs.asdict(), **attributes}))
            write_file(self.root / COPY, (self.root / "zarr.json").read_bytes())

    def claim(self, identity: Identity, attributes: Mapping[str, Any]) -> None:
        """Bind the store to ``identity`` and create its tile arrays; refuse if it is another one's."""
        mine = self.base
        if mine is not None and identity != self.identity:
            identity.refuse_to_mix(mine, str(self.root))
        if self.identity is None or not (self.root / "receipts" / "zarr.json").is_file():
            grown = self.identity or identity
            with disk_errors(self.root):
                # A run killed right here may have left one or both arrays without an identity.
                for name in ("gram", "receipts"):
                    remove_folder(self.root / name)
                create_tiles(self.group, Tiling(grown.n, grown.tile), grown.storage, (mine or identity).salt)
        _checkpoint("store.claim")
        self.set_attributes({**attributes, "identity": (self.identity or identity).to_dict()})

    @property
    def tiles(self) -> TileStore:
        """The Gram tiles."""
        identity = self.identity
        if identity is None or not (self.root / "receipts").is_dir():
            raise InputError(f"{self.root} holds no Gram matrix yet; start its run again to continue it.")
        return TileStore(self.root, Tiling(identity.n, identity.tile))

    def make_rows(self, path: str, grid: Grid, dtype: np.dtype[Any]) -> Chunks[Grid]:
        """Create an array of rows that is written block by block, each with its receipt."""
        with disk_errors(self.root):
            create_chunks(self.group, path, f"{path}_receipts", grid, dtype.name)
        self._rows.pop(path, None)
        return self.rows(path)

    def rows(self, path: str) -> Chunks[Grid]:
        """The blocks of an array made with :meth:`make_rows`."""
        if path not in self._rows:
            node = self._array(path)
            n, m = node.shape
            tall, wide = node.chunks
            self._rows[path] = Chunks(self.root, path, f"{path}_receipts", Grid(n, m, tall, wide))
        return self._rows[path]

    def forget_open_rows(self) -> None:
        """Open arrays of rows anew at their next use (they have grown)."""
        self._rows.clear()

    def read_array(self, path: str, rows: slice = slice(None)) -> NDArray[Any]:
        """Read an array, or some of its rows; what has receipts is checked against them at its first read."""
        node = self._array(path)
        if not (self.root / f"{path}_receipts").is_dir():
            with disk_errors(self.root):
                return np.asarray(node[rows])
        start, stop, _ = rows.indices(node.shape[0])
        blocks = self.rows(path)
        tall = blocks.grid.tall
        if stop <= start:
            return np.empty((0, node.shape[1]), node.dtype)
        parts = []
        for i in range(start // tall, -(-stop // tall)):
            block = blocks.read(i, 0)
            parts.append(block[max(0, start - i * tall) : stop - i * tall])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _array(self, path: str) -> zarr.Array[Any]:
        try:
            with disk_errors(self.root):
                node = self.group.get(path)
        except (ValueError, KeyError, TypeError) as error:
            raise ChecksFailed(
                f"The description of {path} of {self.root} is damaged; `ntkdist verify --repair` restores it."
            ) from error
        if not isinstance(node, zarr.Array):
            raise InputError(f"{self.root} has no {path} yet; start its run again to continue it.")
        return node


def _foreign(path: Path) -> bool:
    """Whether a file in a folder without zarr.json is somebody else's, not a killed creation's remains."""
    return path.name != ".lock" and not path.name.endswith(".partial")


def _damaged(root: Path) -> str:
    return f"The description of {root} (zarr.json) is damaged; `ntkdist verify {root} --repair` restores it."
