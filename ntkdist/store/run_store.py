"""One run on disk: a Zarr v3 group with inputs, Gram tiles, receipts and the result of every stage.

Layout: ``inputs/`` (x_train, y_train, x_test, y_test and the row numbers they came from), ``gram`` and ``receipts``
(:mod:`ntkdist.store.tiles`), and one group per later stage (``spectrum``, ``solution``, ``theory``,
``predictions``), each holding arrays and a JSON result. A stage's group says ``done`` last, together with the key
of the settings that produced it and a checksum of each array, so that a half-written stage is never read and a
stage is redone when its settings change.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from ntkdist.errors import ChecksFailed, InputError
from ntkdist.moments import _checkpoint
from ntkdist.store.durable import disk_errors, sync_file
from ntkdist.store.identity import Identity
from ntkdist.store.receipts import checksum
from ntkdist.store.tiles import TileStore, create_tiles
from ntkdist.tiling import Tiling

FORMAT = 1


@dataclass(frozen=True)
class StageResult:
    """What a finished stage left: its JSON result and its arrays' names."""

    key: str
    result: dict[str, Any]
    arrays: tuple[str, ...]


class RunStore:
    """A run store on a local or shared file system, opened for reading or (under the lock) writing."""

    def __init__(self, root: str | Path, *, mode: str = "r") -> None:
        self.root = Path(root)
        if not (self.root / "zarr.json").is_file():
            what = "is not a run store (it has no zarr.json)" if self.root.exists() else "does not exist"
            raise InputError(f"{self.root} {what}; `ntkdist run CONF` makes one.")
        try:
            self.group = zarr.open_group(self.root, mode="r+" if mode == "r+" else "r", zarr_format=3)
        except (ValueError, KeyError, OSError, TypeError) as error:
            raise InputError(f"{self.root} cannot be opened as a Zarr v3 group: {error}.") from error
        if self.group.attrs.get("ntkdist_format") != FORMAT:
            raise InputError(f"{self.root} is a Zarr group, but not a run store of format {FORMAT} written by ntkdist.")

    @classmethod
    def create(cls, root: str | Path) -> RunStore:
        """Open the store at ``root`` for writing, making an empty one if there is none."""
        path = Path(root)
        with disk_errors(path):
            if not (path / "zarr.json").exists():
                if path.exists() and (not path.is_dir() or any(_foreign(p) for p in path.iterdir())):
                    raise InputError(f"{path} exists and is not a run store; choose another path with --set store=…")
                path.mkdir(parents=True, exist_ok=True)
                zarr.create_group(path, zarr_format=3, attributes={"ntkdist_format": FORMAT})
                sync_file(path / "zarr.json")
            return cls(path, mode="r+")

    @property
    def identity(self) -> Identity | None:
        """The identity of the matrix in here, or None before the inputs are finished."""
        tree = self.group.attrs.get("identity")
        return Identity.from_dict(dict(tree)) if isinstance(tree, Mapping) else None

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Write attributes of the run durably."""
        with disk_errors(self.root):
            self.group.update_attributes(dict(attributes))
            sync_file(self.root / "zarr.json")

    def claim(self, identity: Identity, attributes: Mapping[str, Any]) -> None:
        """Bind the store to ``identity`` and create its tile arrays; refuse if it is another one's."""
        mine = self.identity
        if mine is not None:
            identity.refuse_to_mix(mine, str(self.root))
        tiling = Tiling(identity.n, identity.tile)
        if mine is None or "receipts" not in self.group:
            with disk_errors(self.root):
                # A run killed right here may have left one or both arrays without an identity.
                for name in ("gram", "receipts"):
                    if name in self.group:
                        del self.group[name]
                create_tiles(self.group, tiling, identity.storage)
        _checkpoint("store.claim")
        self.set_attributes({**attributes, "identity": identity.to_dict()})

    @property
    def tiles(self) -> TileStore:
        """The Gram tiles."""
        identity = self.identity
        if identity is None or "receipts" not in self.group:
            raise InputError(f"{self.root} holds no Gram matrix yet; start its run again to continue it.")
        return TileStore(self.root, Tiling(identity.n, identity.tile))

    def write_array(self, path: str, array: NDArray[Any]) -> None:
        """Write a whole array at ``path`` (one chunk per 64 MiB of rows)."""
        data = np.asarray(array)
        row_bytes = max(1, data.nbytes // max(1, data.shape[0])) if data.ndim else 1
        rows = max(1, min(data.shape[0], (64 << 20) // row_bytes)) if data.ndim else 1
        chunks = (rows, *(max(1, s) for s in data.shape[1:])) if data.ndim else ()
        with disk_errors(self.root):
            self.group.create_array(path, data=data, chunks=chunks, compressors=None, overwrite=True)

    def make_array(self, path: str, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Create an empty array that :meth:`write_rows` fills."""
        with disk_errors(self.root):
            self.group.create_array(path, shape=shape, chunks=chunks, dtype=dtype, compressors=None, overwrite=True)

    def write_rows(self, path: str, start: int, rows: NDArray[Any]) -> None:
        """Write consecutive rows of an array made with :meth:`make_array`."""
        if len(rows):
            node = self.group[path]
            assert isinstance(node, zarr.Array)
            with disk_errors(self.root):
                node[start : start + len(rows)] = rows

    def read_array(self, path: str, rows: slice = slice(None)) -> NDArray[Any]:
        """Read an array, or some of its rows."""
        node = self.group.get(path)
        if not isinstance(node, zarr.Array):
            raise InputError(f"{self.root} has no {path} yet; start its run again to continue it.")
        return np.asarray(node[rows])

    def stage(self, name: str, key: str | None = None) -> StageResult | None:
        """The result of stage ``name`` if it is finished (and, with ``key``, made with these settings)."""
        node = self.group.get(name)
        if not isinstance(node, zarr.Group) or node.attrs.get("done") is not True:
            return None
        if key is not None and node.attrs.get("key") != key:
            return None
        result = node.attrs["result"]
        checksums = node.attrs["checksums"]
        assert isinstance(result, dict)
        assert isinstance(checksums, dict)
        return StageResult(str(node.attrs["key"]), result, tuple(checksums))

    def finish_stage(
        self,
        name: str,
        key: str,
        result: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]] | None = None,
        *,
        keep: bool = False,
    ) -> None:
        """Write the arrays of stage ``name``, then its result and ``done``, in this order.

        ``keep`` leaves arrays that were written beforehand (:meth:`make_array`) where they are.
        """
        arrays = arrays or {}
        json.dumps(result, allow_nan=False)  # a NaN here would be an unreported number
        with disk_errors(self.root):
            if not keep:
                self.drop_stage(name)
            node = self.group.require_group(name)
            for label, array in arrays.items():
                self.write_array(f"{name}/{label}", array)
            _checkpoint(f"stage.{name}.before")
            node.update_attributes(
                {
                    "key": key,
                    "result": dict(result),
                    "checksums": {label: checksum(np.asarray(a)) for label, a in arrays.items()},
                    "done": True,
                }
            )
            sync_file(self.root / name / "zarr.json")
        _checkpoint(f"stage.{name}.done")

    def drop_stage(self, name: str) -> None:
        """Forget what stage ``name`` left behind, finished or not."""
        folder = self.root / name
        if folder.exists():
            # What says "done" goes first: killed in between, the stage must not look finished.
            (folder / "zarr.json").unlink(missing_ok=True)
            shutil.rmtree(folder)

    def stage_array(self, name: str, label: str) -> NDArray[Any]:
        """Read an array of a finished stage, checked against its checksum."""
        node = self.group.get(name)
        if not isinstance(node, zarr.Group) or node.attrs.get("done") is not True:
            raise InputError(f"{self.root} has no finished {name} yet; start its run again to continue it.")
        expected = node.attrs["checksums"]
        assert isinstance(expected, dict)
        array = self.read_array(f"{name}/{label}")
        if checksum(array) != expected[label]:
            raise ChecksFailed(
                f"{name}/{label} of {self.root} is damaged; remove {self.root / name} and start the run again."
            )
        return array


def _foreign(path: Path) -> bool:
    """Whether a file in a folder without zarr.json is somebody else's, not a killed creation's remains."""
    return path.name != ".lock" and not path.name.endswith(".partial")
