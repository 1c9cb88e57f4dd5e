"""The stages of a run in its store: arrays and a JSON result each, with ``done`` written last.

A stage's group says ``done`` together with the key of the settings that produced it and a checksum of each array, so
that a half-written stage is never read, a damaged one is noticed, and a stage is redone when its settings change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from ntkdist.errors import ChecksFailed, InputError
from ntkdist.moments import _checkpoint
from ntkdist.store.attributes import intact, signed
from ntkdist.store.disk import remove_folder
from ntkdist.store.durable import disk_errors
from ntkdist.store.receipts import checksum

# Everything else in a store stands on the matrix, and is withdrawn when the matrix changes.
_FOUNDATIONS = {"inputs", "gram", "receipts", "append"}


@dataclass(frozen=True)
class StageResult:
    """What a finished stage left: its JSON result and its arrays' names."""

    key: str
    result: dict[str, Any]
    arrays: tuple[str, ...]


class Stages:
    """Read and write stages below an open Zarr group."""

    root: Path
    group: zarr.Group

    def stage(self, name: str, key: str | None = None) -> StageResult | None:
        """The result of stage ``name`` if it is finished (and, with ``key``, made with these settings)."""
        attributes = self._finished(name)
        if attributes is None or (key is not None and attributes["key"] != key):
            return None
        return StageResult(str(attributes["key"]), dict(attributes["result"]), tuple(attributes["checksums"]))

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

        ``keep`` leaves arrays that were written beforehand where they are.
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
            body = {
                "key": key,
                "result": dict(result),
                "checksums": {label: checksum(np.asarray(a)) for label, a in arrays.items()},
                "done": True,
            }
            node.update_attributes(signed(body))
        _checkpoint(f"stage.{name}.done")

    def begin_stage(self, name: str, key: str) -> None:
        """Say what a stage is being made of, so that an interrupted one is known again by :meth:`begun`."""
        with disk_errors(self.root):
            self.group.require_group(name).update_attributes(signed({"key": key, "done": False}))

    def begun(self, name: str, key: str) -> bool:
        """Whether stage ``name`` was begun with this key and is not finished."""
        attributes = self._attributes(name)
        return attributes is not None and intact(attributes) and (attributes["key"], attributes["done"]) == (key, False)

    def drop_stage(self, name: str) -> None:
        """Forget what stage ``name`` left behind, finished or not."""
        with disk_errors(self.root):
            remove_folder(self.root / name)

    def later_stages(self) -> list[str]:
        """The stages that stand on the matrix, finished or not."""
        return sorted(p.name for p in self.root.iterdir() if p.is_dir() and p.name not in _FOUNDATIONS)

    def damaged_stages(self) -> list[str]:
        """Stages that say they are finished, but whose result or arrays are not what was written."""
        bad = []
        for name in ["inputs", *self.later_stages()]:
            if not (self.root / name).is_dir():
                continue
            attributes = self._attributes(name)
            if attributes is None or ("done" in attributes and not intact(attributes)):
                bad.append(name)
            elif attributes.get("done") is True:
                try:
                    for label in attributes["checksums"]:
                        self.stage_array(name, label)
                except (ChecksFailed, InputError):
                    bad.append(name)
        return bad

    def stage_array(self, name: str, label: str) -> NDArray[Any]:
        """Read an array of a finished stage, checked against its checksum."""
        attributes = self._finished(name)
        if attributes is None or label not in attributes["checksums"]:
            raise InputError(f"{self.root} has no finished {name} yet; start its run again to continue it.")
        damaged = (
            f"{name}/{label} of {self.root} is damaged; `ntkdist verify --repair` withdraws it, and the same run "
            "started again makes it anew."
        )
        try:
            with disk_errors(self.root):
                array = np.asarray(self._whole(f"{name}/{label}"))
        except (ValueError, RuntimeError, KeyError, TypeError) as error:
            raise ChecksFailed(damaged) from error
        if checksum(array) != attributes["checksums"][label]:
            raise ChecksFailed(damaged)
        return array

    def write_array(self, path: str, array: NDArray[Any]) -> None:
        """Write a whole array at ``path`` (one chunk per 64 MiB of rows)."""
        data = np.asarray(array)
        row_bytes = max(1, data.nbytes // max(1, data.shape[0])) if data.ndim else 1
        rows = max(1, min(data.shape[0], (64 << 20) // row_bytes)) if data.ndim else 1
        chunks = (rows, *(max(1, s) for s in data.shape[1:])) if data.ndim else ()
        with disk_errors(self.root):
            self.group.create_array(path, data=data, chunks=chunks, compressors=None, overwrite=True)

    def _whole(self, path: str) -> Any:
        node = self.group[path]
        assert isinstance(node, zarr.Array)
        return node[...]

    def _attributes(self, name: str) -> dict[str, Any] | None:
        """A stage's attributes; None when its description cannot be read."""
        try:
            with disk_errors(self.root):
                node = self.group.get(name)
        except (ValueError, KeyError, TypeError):
            return None
        return dict(node.attrs) if isinstance(node, zarr.Group) else None

    def _finished(self, name: str) -> dict[str, Any] | None:
        attributes = self._attributes(name)
        if attributes is None or attributes.get("done") is not True or not intact(attributes):
            return None
        return attributes
