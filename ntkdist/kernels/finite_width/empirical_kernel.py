"""The empirical NTK of a fully connected network as a kernel: tiles, diagonal, error, identity.

The weights come from seeds (one network for each; the kernel is their mean, an ensemble) or from a saved network, at
initialisation or after training.  Nothing but the specification travels to workers: each draws or reads the weights
itself and keeps the passes of the last few blocks of rows.  ``which="nngp"`` is the conjugate kernel, the covariance
of f when the output weights are drawn anew.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import Any, Self

import numpy as np
from array_api_compat import array_namespace, is_cupy_array
from numpy.typing import NDArray

from ntkdist.errors import InputError
from ntkdist.kernels.blas import one_blas_thread
from ntkdist.kernels.error import EntryError
from ntkdist.kernels.finite_width.equal_rows import equal_pairs
from ntkdist.kernels.finite_width.network import Architecture, Network
from ntkdist.kernels.finite_width.rounding import product_error
from ntkdist.kernels.finite_width.structured import (
    Features,
    check_output,
    conjugate_kernel,
    features,
    structured_diagonal,
    structured_ntk,
)
from ntkdist.kernels.finite_width.weights_file import load_network, weights_digest
from ntkdist.kernels.presets import check_choice

Array = NDArray[Any]
SPEC_VERSION = 1
KEPT_BYTES = 1 << 29


class EmpiricalKernel:
    """Θ(x, x′) = m^{−c} ⟨∂f(x)/∂θ, ∂f(x′)/∂θ⟩ of real networks, in NumPy or CuPy arrays.

    ``EmpiricalKernel(Architecture(depth=2, width=2048), seeds=[0, 1])`` draws weights;
    ``EmpiricalKernel(checkpoint="trained.npz")`` reads a network of ``save_network``;
    ``EmpiricalKernel(network=…)`` takes one in memory.  ``output`` is ``mean`` (average over outputs) or the number of
    one output.  Raises ``InputError`` in one sentence.
    """

    def __init__(
        self,
        architecture: Architecture | None = None,
        seeds: Sequence[int] = (0,),
        *,
        network: Network | None = None,
        checkpoint: str | None = None,
        output: str | int = "mean",
        allow_import: bool = True,
    ) -> None:
        if sum(given is not None for given in (architecture, network, checkpoint)) != 1:
            raise InputError("an empirical kernel needs one of architecture, network and checkpoint")
        self.checkpoint = checkpoint
        self._given = load_network(checkpoint, allow_import) if checkpoint is not None else network
        self.architecture = architecture if architecture is not None else self._network_given.architecture
        self.seeds: tuple[int, ...] = () if self._given is not None else tuple(int(s) for s in seeds)
        if self._given is None and (not self.seeds or min(self.seeds) < 0):
            raise InputError(f"seeds must be one or more whole numbers, zero or above, not {list(seeds)!r}")
        self.output = check_output(output, self.architecture.outputs)
        if self.output == "full":
            raise InputError("a kernel matrix has one number per pair of rows: output is 'mean' or one output's number")
        self.digest = None if self._given is None else weights_digest(self._given)
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._drawn: dict[tuple[int, str], tuple[Network, ...]] = {}
        self._kept: OrderedDict[tuple[bytes, tuple[int, ...], str], tuple[Features, ...]] = OrderedDict()

    @property
    def _network_given(self) -> Network:
        assert self._given is not None
        return self._given

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_lock", "_drawn", "_kept")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def spec(self) -> dict[str, Any]:
        """Everything that fixes the kernel as plain JSON values."""
        return {
            "type": "empirical",
            "version": SPEC_VERSION,
            "convention": "Theta = m^-c <df/dw, df'/dw> over all weights and biases; h = c_l w phi(h) + beta_l b",
            "architecture": self.architecture.spec(),
            "output": self.output,
            "seeds": list(self.seeds),
            "weights": self.digest,
            "checkpoint": self.checkpoint,
        }

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], allow_import: bool = True) -> EmpiricalKernel:
        """The kernel of a ``spec()``; a checkpoint must still hold the weights it was made with."""
        try:
            if spec["version"] != SPEC_VERSION:
                raise InputError(f"this kernel was written by another version of the format ({spec['version']!r})")
            if spec["weights"] is None:
                architecture = Architecture.from_spec(spec["architecture"], allow_import)
                return cls(architecture, spec["seeds"], output=spec["output"])
            if spec["checkpoint"] is None:
                raise InputError("this kernel's network was in memory only; save it and name it as checkpoint")
            kernel = cls(checkpoint=spec["checkpoint"], output=spec["output"], allow_import=allow_import)
        except (KeyError, TypeError) as error:
            raise InputError(f"this is not a kernel specification: {error}") from error
        if kernel.digest != spec["weights"]:
            raise InputError(f"checkpoint {kernel.checkpoint} holds other weights than the kernel was made with")
        return kernel

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the specification; the place of a checkpoint does not count, its weights do."""
        content = {key: value for key, value in self.spec().items() if key != "checkpoint"}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EmpiricalKernel) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __str__(self) -> str:
        of = self.architecture
        origin = f"seeds {', '.join(map(str, self.seeds))}" if self.seeds else f"weights {str(self.digest)[:12]}"
        bias = f", σ_b²={of.sigma_b**2:.6g}" if of.sigma_b else ""
        shown = "mean over outputs" if self.output == "mean" else f"output {self.output}"
        return (
            f"Empirical NTK: {of.depth} × {of.width} {of.activation}, {of.outputs} outputs ({shown}), {of.abc.name}"
            f" parameterization, σ_w²={of.sigma_w**2:.6g}{bias}, inputs {of.input_scaling}; {origin}"
        )

    __repr__ = __str__

    @property
    def is_zonal(self) -> bool:
        """False: the weights single out directions."""
        return False

    @property
    def has_ntk(self) -> bool:
        """True."""
        return True

    @cached_property
    def needs_direction(self) -> bool:
        """Whether a zero row is refused or has an all-zero kernel row."""
        of = self.architecture
        if of.input_scaling == "unit":
            return True
        zero = float(of.function.value(np.zeros(1))[0])
        return zero == 0 and not of.first_bias and not of.sigma_b

    def for_inputs(self, shape: tuple[int, ...]) -> Self:
        """The kernel itself; refuses rows of another length than a saved network takes."""
        size = int(np.prod(shape))
        if self._given is not None and size != self._given.features:
            raise InputError(f"the network takes {self._given.features} features, the rows have {size}")
        return self

    def networks(self, d: int, dtype: Any = np.float64) -> tuple[Network, ...]:
        """The networks behind the kernel for ``d`` features, drawn once per process."""
        key = (d, np.dtype(dtype).name)
        with self._lock:
            if key not in self._drawn:
                if self._given is not None:
                    self._drawn[key] = (self._given.astype(dtype),)
                else:
                    self._drawn[key] = tuple(self.architecture.draw(d, seed, dtype) for seed in self.seeds)
            return self._drawn[key]

    def tile(
        self,
        x_rows: Array,
        x_cols: Array | None = None,
        which: str = "ntk",
        out: Array | None = None,
        threads: int = 1,
    ) -> Array:
        """K(x_rows, x_cols), shape (n1, n2), in the dtype of its inputs (float32 or float64).

        Equal rows give exactly the diagonal value, and a tile of rows with themselves is exactly symmetric.
        ``threads`` above 1 lets BLAS use its own threads; the bits may then depend on their number.
        """
        check_choice("which", which, ("ntk", "nngp"))
        x = _rows(x_rows, "x_rows")
        z = x if x_cols is None else _rows(x_cols, "x_cols")
        same = z is x or (z.shape == x.shape and bool((z == x).all()))
        with one_blas_thread() if threads == 1 else nullcontext():
            left = self._features(x)
            right = left if same else self._features(z)
            found: Any = 0.0
            top: Any = 0.0
            for network, rows, columns in zip(self._networks_on(x), left, right, strict=True):
                if which == "nngp":
                    found = found + conjugate_kernel(network, rows, columns)
                else:
                    found = found + structured_ntk(network, rows, columns, self.output)
                top = top + self._own(network, rows, which)
            found, top = found / len(left), top / len(left)
        if same:
            xp: Any = array_namespace(found)
            lower = xp.tril(found)
            found = lower + xp.tril(found, k=-1).T
        i, j = equal_pairs(x, z)
        found[i, j] = top[i]
        if out is not None:
            out[...] = found
            return out
        tile: Array = found
        return tile

    def _own(self, network: Network, rows: Features, which: str) -> Array:
        if which == "ntk":
            return structured_diagonal(network, rows, self.output)
        of = self.architecture
        xp: Any = array_namespace(rows.f)
        a = rows.activations[-1]
        last = of.depth + 1
        scale = (of.factor(last, network.features) * of.spread(last)) ** 2
        found: Array = scale * xp.sum(a * a, axis=1) + of.sigma_b**2
        return found

    def __call__(self, x: Array, z: Array | None = None) -> Array:
        """The NTK tile K(x, z), so that a kernel is a kernel function for scikit-learn."""
        return self.tile(x, z)

    def cross(self, x_test: Array, x_train: Array, which: str = "ntk", threads: int = 1) -> Array:
        """K(x_test, x_train), shape (n_test, n_train)."""
        return self.tile(x_test, x_train, which, threads=threads)

    def diagonal(self, x: Array, which: str = "ntk") -> Array:
        """K(x_i, x_i), shape (n,)."""
        check_choice("which", which, ("ntk", "nngp"))
        rows = _rows(x, "x")
        with one_blas_thread():
            parts = zip(self._networks_on(rows), self._features(rows), strict=True)
            total: Any = sum(self._own(network, part, which) for network, part in parts)
        found: Array = total / max(1, len(self.seeds))
        return found

    def entry_error(self, dtype: Any = np.float64, which: str = "ntk") -> EntryError:
        """The bound on an entry's rounding error when tiles are computed in ``dtype``; see ``rounding``."""
        check_choice("which", which, ("ntk", "nngp"))
        features = 1 if self._given is None else self._given.features
        return product_error(dtype, self.architecture.depth, max(self.architecture.width, features))

    def work(self, n1: int, n2: int, d: int) -> float:
        """Floating-point operations of a tile: forward and backward pass of both blocks, two products per layer."""
        of = self.architecture
        k = of.outputs if self.output == "mean" else 1
        weights = of.parameters(d)
        passes = 2.0 * (n1 + n2) * weights * (1 + of.outputs)
        products = 2.0 * n1 * n2 * (d + of.width * of.depth * (1 + k))
        return max(1, len(self.seeds)) * (passes + products)

    def _networks_on(self, x: Array) -> tuple[Network, ...]:
        return tuple(n.on_device_of(x) for n in self.networks(int(x.shape[1]), np.dtype(str(x.dtype))))

    def _features(self, x: Array) -> tuple[Features, ...]:
        """The passes of a block of rows; those of the last blocks are kept, up to ``KEPT_BYTES``."""
        if is_cupy_array(x):
            return tuple(features(network, x) for network in self._networks_on(x))
        key = (hashlib.blake2b(x.tobytes(), digest_size=16).digest(), x.shape, str(x.dtype))
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = tuple(features(network, x) for network in self._networks_on(x))
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > 1 and sum(f.nbytes for kept in self._kept.values() for f in kept) > KEPT_BYTES:
                self._kept.popitem(last=False)
        return made


def _rows(x: Array, name: str) -> Array:
    rows: Any = x if is_cupy_array(x) else np.asarray(x)
    if rows.ndim != 2 or rows.shape[1] < 1:
        raise InputError(f"{name} must be a two-dimensional array of rows, not one of shape {rows.shape}")
    if rows.dtype not in (np.float32, np.float64):
        rows = rows.astype(np.float64)
    found: Array = rows if is_cupy_array(rows) else np.ascontiguousarray(rows)
    return found
