"""The empirical NTK of any PyTorch model as a kernel: Θ(x, x′) = ⟨∂f(x)/∂θ, ∂f(x′)/∂θ⟩, averaged over outputs or of
one output, and over an ensemble of seeds.

Everything the model computes with (parameters, buffers, which of them are trained) enters the fingerprint, so a store
never mixes two models.  See :mod:`.torch_ntk` for the two ways a tile is computed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import InputError
from ntkdist.kernels.error import EntryError
from ntkdist.kernels.finite_width.equal_rows import equal_pairs
from ntkdist.kernels.finite_width.rounding import product_error
from ntkdist.kernels.finite_width.structured import check_output
from ntkdist.kernels.finite_width.torch_model import TorchModel, import_torch, load_model
from ntkdist.kernels.finite_width.torch_ntk import (
    METHODS,
    Cost,
    forward_flops,
    jacobian_ntk,
    predict_cost,
    product_ntk,
)
from ntkdist.kernels.presets import check_choice
from ntkdist.kernels.tile import check_rows

Array = NDArray[Any]
SPEC_VERSION = 1
_ROUNDING_DEPTH = 20


class TorchKernel:
    """The empirical NTK of the model ``module:factory`` on rows (n, d), in float32 or float64.

    ``input_shape`` is what one row is reshaped to, e.g. (3, 32, 32); ``memory`` bytes bound the Jacobian blocks;
    ``device`` is cpu, cuda, or auto (cuda if there is one).  Raises ``InputError`` in one sentence.
    """

    def __init__(
        self,
        model: str,
        seeds: Sequence[int] = (0,),
        *,
        checkpoint: str | None = None,
        input_shape: Sequence[int] | None = None,
        output: str | int = "mean",
        method: str = "auto",
        memory: float = 2.0 * 2**30,
        device: str = "auto",
        allow_import: bool = True,
    ) -> None:
        if not allow_import:
            raise InputError(
                f"this kernel uses the model {model!r}, which is not imported from a store: name it yourself"
            )
        torch = import_torch()
        check_choice("device", device, ("auto", "cpu", "cuda"))
        if device == "cuda" and not torch.cuda.is_available():
            raise InputError("device cuda is asked for, and PyTorch finds none here")
        self.model, self.checkpoint = model, checkpoint
        self.seeds = tuple(int(s) for s in (seeds if checkpoint is None else seeds[:1]))
        if not self.seeds:
            raise InputError("seeds is empty; an ensemble needs at least one")
        self.input_shape = None if input_shape is None else tuple(int(v) for v in input_shape)
        self.output: str | int = output
        self.method = check_choice("method", method, METHODS)
        self.memory, self.device = float(memory), device
        self.digests = tuple(m.digest for m in self._models("float64"))

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_loaded", "fingerprint")}

    def _models(self, dtype: str) -> tuple[TorchModel, ...]:
        loaded = self.__dict__.setdefault("_loaded", {})
        if dtype not in loaded:
            loaded[dtype] = tuple(
                load_model(self.model, seed, self.checkpoint, self.input_shape, dtype, self._place())
                for seed in self.seeds
            )
        models: tuple[TorchModel, ...] = loaded[dtype]
        return models

    def _place(self) -> str:
        if self.device != "auto":
            return self.device
        return "cuda" if import_torch().cuda.is_available() else "cpu"

    def spec(self) -> dict[str, Any]:
        """Everything that fixes the kernel as plain JSON values."""
        return {
            "type": "torch",
            "version": SPEC_VERSION,
            "convention": "Theta = <df/dtheta, df/dtheta'> over all parameters that require gradients, model.eval()",
            "model": self.model,
            "checkpoint": self.checkpoint,
            "input_shape": None if self.input_shape is None else list(self.input_shape),
            "output": self.output,
            "seeds": list(self.seeds),
            "weights": list(self.digests),
        }

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], allow_import: bool = True) -> TorchKernel:
        """The kernel of a ``spec()``; the model must still make the weights it was made with."""
        try:
            if spec["version"] != SPEC_VERSION:
                raise InputError(f"this kernel was written by another version of the format ({spec['version']!r})")
            kernel = cls(
                spec["model"],
                spec["seeds"],
                checkpoint=spec["checkpoint"],
                input_shape=spec["input_shape"],
                output=spec["output"],
                allow_import=allow_import,
            )
            if list(kernel.digests) != list(spec["weights"]):
                raise InputError(f"model {kernel.model} has other weights than the kernel was made with")
        except (KeyError, TypeError) as error:
            raise InputError(f"this is not a kernel specification: {error}") from error
        return kernel

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the specification; a checkpoint's place does not count, its weights do."""
        content = {key: value for key, value in self.spec().items() if key != "checkpoint"}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TorchKernel) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __str__(self) -> str:
        origin = f"checkpoint {self.checkpoint}" if self.checkpoint else f"seeds {', '.join(map(str, self.seeds))}"
        shown = "mean over outputs" if self.output == "mean" else f"output {self.output}"
        count = self._models("float64")[0].count
        return f"Empirical NTK of {self.model} ({count:,} parameters, {shown}); {origin}"

    __repr__ = __str__

    @property
    def is_zonal(self) -> bool:
        """False: the weights single out directions."""
        return False

    @property
    def has_ntk(self) -> bool:
        """True."""
        return True

    @property
    def has_nngp(self) -> bool:
        """False: a model says nothing of the covariance of its outputs under other weights."""
        return False

    @property
    def needs_direction(self) -> bool:
        """False: the model decides what a zero row is."""
        return False

    def for_inputs(self, shape: tuple[int, ...]) -> Self:
        """The kernel itself, after one row has passed through the model."""
        d = int(np.prod(shape))
        if self.input_shape is not None and int(np.prod(self.input_shape)) != d:
            raise InputError(f"input_shape {self.input_shape} has {np.prod(self.input_shape)} numbers, a row has {d}")
        self._outputs(import_torch().zeros(d, dtype=import_torch().float64, device=self._place()))
        return self

    def _outputs(self, row: Any) -> int:
        model = self._models(str(row.dtype).removeprefix("torch."))[0]
        try:
            outputs = len(model.call(model.parameters, row))
        except RuntimeError as error:
            first = str(error).splitlines()[0]
            raise InputError(f"model {self.model} does not take a row of {len(row)} numbers: {first}") from error
        check_output(self.output, outputs)
        if self.output == "full":
            raise InputError("a kernel matrix has one number per pair of rows: output is 'mean' or one output's number")
        return outputs

    def tile(
        self,
        x_rows: Array,
        x_cols: Array | None = None,
        which: str = "ntk",
        out: Array | None = None,
        threads: int = 1,
    ) -> Array:
        """K(x_rows, x_cols), shape (n1, n2), in the dtype of its inputs; PyTorch uses its own threads."""
        _check_ntk(which)
        x, z = check_rows(x_rows, "x_rows"), None if x_cols is None else check_rows(x_cols, "x_cols")
        same = z is None or (z.shape == x.shape and bool((z == x).all()))
        torch = import_torch()
        left = torch.from_numpy(x).to(self._place())
        right = left if same or z is None else torch.from_numpy(z).to(self._place())
        cost = self.cost(left, right)
        compute = jacobian_ntk if cost.method == "jacobian" else product_ntk
        models = self._models(x.dtype.name)
        with torch.no_grad():
            total = sum(compute(model, left, right, self.output, cost.block) for model in models) / len(models)
        found: Array = total.cpu().numpy()
        if same:
            found = np.tril(found) + np.tril(found, -1).T
        else:
            i, j = equal_pairs(x, z if z is not None else x)
            if i.size:
                found[i, j] = self.diagonal(x[i])
        if out is not None:
            out[...] = found
            return out
        return found

    def cost(self, x: Any, z: Any) -> Cost:
        """The predicted cost of a tile and the method chosen, for tensors of rows."""
        model = self._models(str(x.dtype).removeprefix("torch."))[0]
        outputs = self._outputs(x[0])
        return predict_cost(
            model, forward_flops(model, x[0]), len(x), len(z), outputs, self.output, self.memory, self.method
        )

    def __call__(self, x: Array, z: Array | None = None) -> Array:
        """The NTK tile K(x, z)."""
        return self.tile(x, z)

    def cross(self, x_test: Array, x_train: Array, which: str = "ntk", threads: int = 1) -> Array:
        """K(x_test, x_train), shape (n_test, n_train)."""
        return self.tile(x_test, x_train, which, threads=threads)

    def diagonal(self, x: Array, which: str = "ntk") -> Array:
        """K(x_i, x_i), shape (n,)."""
        _check_ntk(which)
        rows = check_rows(x, "x")
        return np.array([self.tile(rows[i : i + 1], which=which)[0, 0] for i in range(len(rows))], rows.dtype)

    def entry_error(self, dtype: Any = np.float64, which: str = "ntk") -> EntryError:
        """An estimate: the bound of a network of 20 layers with inner products over all parameters."""
        _check_ntk(which)
        found = product_error(dtype, _ROUNDING_DEPTH, self._models("float64")[0].count)
        return EntryError(found.relative, found.dtype, f"estimate for an unknown model as of 20 layers; {found.how}")

    def work(self, n1: int, n2: int, d: int) -> float:
        """Floating-point operations of a tile by the cheaper method."""
        torch = import_torch()
        rows = torch.zeros((1, d), dtype=torch.float64, device=self._place())
        model, outputs = self._models("float64")[0], self._outputs(rows[0])
        cost = predict_cost(
            model, forward_flops(model, rows[0]), n1, n2, outputs, self.output, self.memory, self.method
        )
        flops = cost.jacobian_flops if cost.method == "jacobian" else cost.products_flops
        return flops * len(self.seeds)


def _check_ntk(which: str) -> None:
    if which != "ntk":
        raise InputError("a PyTorch model has an empirical NTK only; use which='ntk'")
