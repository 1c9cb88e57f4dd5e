"""What a kernel is to the stages after it: tiles of a Gram matrix, their error and cost, and an identity.

The pipeline, the store, the planner and the report know a kernel by :class:`TileKernel` alone, so a kernel of
another architecture needs these members, an entry in ``SPEC_TYPES`` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import InputError
from ntkdist.kernels.conv import ConvKernel
from ntkdist.kernels.error import EntryError
from ntkdist.kernels.finite_width.empirical_kernel import EmpiricalKernel
from ntkdist.kernels.finite_width.torch_kernel import TorchKernel
from ntkdist.kernels.kernel import Kernel

Array = NDArray[Any]


@runtime_checkable
class TileKernel(Protocol):
    """A positive semi-definite kernel of two sets of rows, shape (n, d), float32 or float64.

    Entries depend on their two rows alone up to rounding; equal rows give the diagonal value; a tile of rows with
    themselves is exactly symmetric.  A kernel pickles, so that workers can compute its tiles.
    """

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the canonical ``spec()``."""

    @property
    def needs_direction(self) -> bool:
        """Whether a zero row is refused or has an all-zero kernel row."""

    @property
    def is_zonal(self) -> bool:
        """Whether an entry is a function of the two lengths and of the angle alone, for rows of any d."""

    @property
    def has_ntk(self) -> bool:
        """Whether there is an NTK, and not the NNGP kernel only."""

    def spec(self) -> dict[str, Any]:
        """Everything that fixes the kernel, as plain JSON values; its ``type`` is a key of ``SPEC_TYPES``."""

    def for_inputs(self, shape: tuple[int, ...]) -> Self:
        """The kernel for examples of this shape, (d,) or (h, w, c), stored as flat rows.

        Raises ``InputError`` where the architecture cannot take them.
        """

    def tile(
        self, x_rows: Array, x_cols: Array | None = None, which: str = "ntk", out: Array | None = None, threads: int = 1
    ) -> Array:
        """K(x_rows, x_cols), shape (n1, n2), in the dtype of its inputs; ``which`` is ntk or nngp."""

    def cross(self, x_test: Array, x_train: Array, which: str = "ntk", threads: int = 1) -> Array:
        """K(x_test, x_train), shape (n_test, n_train)."""

    def diagonal(self, x: Array, which: str = "ntk") -> Array:
        """K(x_i, x_i), shape (n,)."""

    def entry_error(self, dtype: Any = np.float64, which: str = "ntk") -> EntryError:
        """Bound on |K̃_ij − K_ij| / √(K_ii K_jj) when tiles are computed in ``dtype``."""

    def work(self, n1: int, n2: int, d: int) -> float:
        """Floating-point operations of an (n1, n2) tile of rows with d features."""


SPEC_TYPES: Mapping[str, Callable[..., TileKernel]] = MappingProxyType(
    {
        "dense": Kernel.from_spec,
        "conv": ConvKernel.from_spec,
        "empirical": EmpiricalKernel.from_spec,
        "torch": TorchKernel.from_spec,
    }
)


def kernel_from_spec(spec: Mapping[str, Any], allow_import: bool = True) -> TileKernel:
    """Return the kernel of a ``spec()`` of any type; without ``allow_import`` it imports no user code.

    Raises ``InputError`` for a type this version does not know and for a damaged specification.
    """
    kind = spec.get("type", "dense")
    if kind not in SPEC_TYPES:
        raise InputError(f"this is a kernel of type {kind!r}, which this version of ntkdist does not know")
    return SPEC_TYPES[kind](spec, allow_import)
