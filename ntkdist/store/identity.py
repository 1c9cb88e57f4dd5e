"""What makes two runs the same matrix: the identity a store carries and compares."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from ntkdist.errors import InputError


@dataclass(frozen=True)
class Identity:
    """Kernel, data, precision and tiling of one Gram matrix; equal identities mean equal bits."""

    kernel: str
    which: str
    data: str
    compute: str
    storage: str
    tile: int
    n: int

    @property
    def digest(self) -> str:
        """sha256 over the canonical form, as hex."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def salt(self) -> int:
        """A number below 2⁵³ that ties receipts to this matrix."""
        return int(self.digest[:12], 16)

    def to_dict(self) -> dict[str, Any]:
        """Plain form kept in the store's attributes."""
        return asdict(self)

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> Identity:
        """Rebuild from attributes."""
        return cls(**tree)

    def refuse_to_mix(self, other: Identity, path: str) -> None:
        """Raise :class:`InputError` naming what differs between this run and the store at ``path``."""
        words = {
            "kernel": "another kernel",
            "which": "another kernel (NTK against NNGP)",
            "data": "other data (or another split, seed or normalisation)",
            "compute": "another compute precision",
            "storage": "another storage precision",
            "tile": "another tile size",
            "n": "another number of rows",
        }
        mine, theirs = asdict(self), asdict(other)
        different = [words[key] for key in words if mine[key] != theirs[key]]
        if different:
            raise InputError(
                f"The store {path} belongs to a run with {' and '.join(different)}; "
                "choose another path with --set store=…, or remove it."
            )
