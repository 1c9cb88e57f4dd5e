"""The kernel of an infinitely wide convolutional network, CNTK or CNNGP, as a function of two sets of images.

Per layer K ← (σ_w²/q²) Σ_a K(p+a, p′+a) + σ_b² and Θ ← (σ_w²/q²) Σ_a Θ(p+a, p′+a) + K over the q × q filter with
zero padding, then the activation (Arora, Du, Hu, Li, Salakhutdinov & Wang 2019, in the NTK parametrization).  The
readout averages over equal positions (flatten) or over all pairs of positions (global average pooling, gap), and is
followed by a dense layer with σ_w = 1, so Θ_out = Θ + K.
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
from ntkdist.kernels.activation import RECTIFIER, Activation
from ntkdist.kernels.catalog import parse
from ntkdist.kernels.conv import tile as tiles
from ntkdist.kernels.conv.architecture import PRESETS, Stage, pair_positions, pair_work, stages
from ntkdist.kernels.conv.entry_error import conv_entry_error
from ntkdist.kernels.conv.pointwise import coefficients
from ntkdist.kernels.error import EntryError
from ntkdist.kernels.layer import nonnegative_number, positive_number
from ntkdist.kernels.presets import check_choice

Array = NDArray[Any]
SPEC_VERSION = 1
READOUTS = ("flatten", "gap")
SCALINGS = ("1/c", "none")


class ConvKernel:
    """The exact kernel of a convolutional network of infinite width on images (n, h, w, c).

    ``ConvKernel(depth=3, filter=3, readout="flatten")`` has ``depth`` convolutions with stride 1, each followed by
    ``activation`` (relu, leaky_relu(α), abs, abrelu(a,b)).  ``pool_after=(2, 4)`` puts 2 × 2 average poolings behind
    these layers; ``residual`` adds what enters a layer's activation to what leaves its convolution (not across a
    pooling); ``flip`` is training on every image and its mirror image; ``first_frozen`` and ``last_frozen`` leave the
    first convolution and the dense readout untrained; ``input_scaling`` divides Σ⁰ by the channels ("1/c") or not.
    ``preset`` is myrtle5, myrtle7 or myrtle10.  Rows may be flat (n, h·w·c) once ``image_shape`` (h, w, c) is given;
    with ``channels_first`` images and rows are (c, h, w), and ``image_shape`` is still (h, w, c).
    Raises ``InputError`` in one sentence.
    """

    def __init__(
        self,
        depth: int | None = None,
        filter: int = 3,
        readout: str | None = None,
        activation: str | Activation = "relu",
        sigma_w: float = 2**0.5,
        sigma_b: float = 0.0,
        *,
        preset: str | None = None,
        pool_after: Sequence[int] | None = None,
        residual: bool = False,
        flip: bool = False,
        first_frozen: bool = False,
        last_frozen: bool = False,
        channels_first: bool = False,
        input_scaling: str = "1/c",
        image_shape: Sequence[int] | None = None,
    ) -> None:
        if preset is not None:
            start = PRESETS[check_choice("preset", preset, PRESETS)]
            if depth is not None or pool_after is not None:
                raise InputError(f"the preset {preset} fixes depth and pool_after; give either it or them")
            depth, pool_after, readout = start.depth, start.pool_after, readout or start.readout
        self.depth = _whole("depth", 3 if depth is None else depth)
        self.filter = _whole("filter", filter)
        if self.filter % 2 == 0:
            raise InputError(f"filter must be odd (SAME padding has a centre), not {filter}: take {self.filter + 1}")
        self.readout = check_choice("readout", "flatten" if readout is None else readout, READOUTS)
        self.activation = parse(activation) if isinstance(activation, str) else activation
        if self.activation.op != RECTIFIER or self.activation.par[0] == self.activation.par[1]:
            raise InputError(
                f"convolutional kernels have relu, leaky_relu(α), abs and abrelu(a,b), not {self.activation}"
            )
        self.sigma_w, self.sigma_b = positive_number("sigma_w", sigma_w), nonnegative_number("sigma_b", sigma_b)
        self.pool_after = tuple(_whole("pool_after", layer) for layer in pool_after or ())
        if list(self.pool_after) != sorted(set(self.pool_after)) or any(p >= self.depth for p in self.pool_after):
            raise InputError(
                f"pool_after must list increasing layers below depth {self.depth}, not {self.pool_after}; "
                "what follows the last layer is the readout"
            )
        self.residual, self.flip = bool(residual), bool(flip)
        self.first_frozen, self.last_frozen = bool(first_frozen), bool(last_frozen)
        self.channels_first = bool(channels_first)
        self.input_scaling = check_choice("input_scaling", input_scaling, SCALINGS)
        self.image_shape = None if image_shape is None else self._checked_shape(tuple(image_shape))

    @property
    def weight(self) -> float:
        """σ_w²/filter², the factor of a box sum."""
        return self.sigma_w**2 / self.filter**2

    @property
    def rectifier(self) -> tuple[float, float]:
        """c₁ and c₂ of E φφ′ = √(qq′)(c₁κ₁ + c₂ρ), see ``pointwise``."""
        a, b = self.activation.par[:2]
        return (b - a) ** 2 / 2, a * b

    def keeps(self, layer: int) -> float:
        """1 where a residual connection passes around this layer's activation and convolution, else 0."""
        return 1.0 if self.residual and layer > 0 and layer not in self.pool_after else 0.0

    def input_scale(self, channels: int) -> float:
        """The factor of x_p·x′_p′."""
        return 1.0 / channels if self.input_scaling == "1/c" else 1.0

    @property
    def is_zonal(self) -> bool:
        """False: an entry depends on more than two lengths and an angle."""
        return False

    @property
    def has_ntk(self) -> bool:
        """True: every rectifier has one."""
        return True

    @property
    def needs_direction(self) -> bool:
        """Whether a zero image has an all-zero kernel row."""
        return self.sigma_b == 0

    def spec(self) -> dict[str, Any]:
        """Return everything that fixes the kernel as a plain JSON-able dictionary."""
        return {
            "type": "conv",
            "version": SPEC_VERSION,
            "convention": "K0 = s x_p.x'_p', Theta0 = 0; K <- sw^2/q^2 box K + sb^2, Theta <- sw^2/q^2 box Theta + K;"
            " phi; mean over positions; Theta + K",
            "depth": self.depth,
            "filter": self.filter,
            "readout": self.readout,
            "activation": str(self.activation),
            "sigma_w": self.sigma_w,
            "sigma_b": self.sigma_b,
            "pool_after": list(self.pool_after),
            "residual": self.residual,
            "flip": self.flip,
            "first_frozen": self.first_frozen,
            "last_frozen": self.last_frozen,
            "channels_first": self.channels_first,
            "input_scaling": self.input_scaling,
            "image_shape": None if self.image_shape is None else list(self.image_shape),
        }

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], allow_import: bool = True) -> Self:
        """Return the kernel of a ``spec()``; no user code is ever imported."""
        try:
            if spec["version"] != SPEC_VERSION:
                raise InputError(f"this kernel was written by another version of the format ({spec['version']!r})")
            return cls(**{k: v for k, v in spec.items() if k not in ("type", "version", "convention")})
        except (KeyError, TypeError) as error:
            raise InputError(f"this is not a convolutional kernel's specification: {error}") from error

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 (hex) of the canonical specification: equal kernels have equal fingerprints."""
        text = json.dumps(self.spec(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def __str__(self) -> str:
        marks = [name for name in ("residual", "flip", "first_frozen", "last_frozen") if getattr(self, name)]
        if self.pool_after:
            marks.insert(0, f"pooled after layers {', '.join(map(str, self.pool_after))}")
        bias = f", σ_b²={self.sigma_b**2:.6g}" if self.sigma_b else ""
        shape = "" if self.image_shape is None else " on {}×{}×{} images".format(*self.image_shape)
        tail = "".join(f", {mark.replace('_', ' ')}" for mark in marks)
        return (
            f"ConvKernel{shape}: [{self.filter}×{self.filter}, {self.activation}, σ_w²={self.sigma_w**2:.6g}{bias}] "
            f"× {self.depth}, {self.readout}{tail}"
        )

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConvKernel) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def for_inputs(self, shape: tuple[int, ...]) -> Self:
        """Return the kernel for images of this shape (h, w, c), or (h, w) for one channel."""
        if self.image_shape is not None:
            if int(np.prod(shape)) != int(np.prod(self.image_shape)):
                raise InputError(
                    f"the kernel is for images of shape {self.image_shape}, but an example has shape {tuple(shape)}"
                )
            return self
        if len(shape) == 2:
            shape = (*shape, 1)
        elif self.channels_first and len(shape) == 3:
            shape = (shape[1], shape[2], shape[0])
        return self._bound(shape)

    def _bound(self, shape: tuple[int, ...]) -> Self:
        if self.image_shape == shape:
            return self
        return self.from_spec({**self.spec(), "image_shape": self._checked_shape(shape)})

    def stages_for(self, readout: str | None = None) -> tuple[Stage, ...]:
        """Return the stages for the kernel's image shape."""
        h, w, _ = self._shape()
        return stages(self.depth, self.pool_after, readout or self.readout, h, w)

    def tile(
        self, x_rows: Array, x_cols: Array | None = None, which: str = "ntk", out: Array | None = None, threads: int = 1
    ) -> Array:
        """Return K(x_rows, x_cols), shape (n1, n2), in the dtype of its inputs (float32 or float64).

        Rows are images (n, h, w, c) or flat (n, h·w·c).  Equal images give exactly the diagonal value, and a tile of
        images with themselves is exactly symmetric.  ``threads`` shares blocks of columns out; it changes no bit.
        """
        check_choice("which", which, ("ntk", "nngp"))
        kernel, x = self._images(x_rows, "x_rows")
        same = x_cols is None or x_cols is x_rows
        z = x if same or x_cols is None else kernel._images(x_cols, "x_cols")[1]
        result = tiles.tile(kernel, x, z, which, threads)
        if out is None:
            return result
        if out.shape != result.shape or out.dtype != result.dtype:
            raise InputError(
                f"out must have shape {result.shape} and dtype {result.dtype}, not {out.shape} and {out.dtype}"
            )
        out[...] = result
        return out

    def __call__(self, x: Array, z: Array | None = None) -> Array:
        """Return the CNTK tile K(x, z), so that a kernel is a kernel function for scikit-learn."""
        return self.tile(x, z)

    def cross(self, x_test: Array, x_train: Array, which: str = "ntk", threads: int = 1) -> Array:
        """Return K(x_test, x_train), shape (n_test, n_train)."""
        return self.tile(x_test, x_train, which, threads=threads)

    def diagonal(self, x: Array, which: str = "ntk") -> Array:
        """Return K(x_i, x_i), shape (n,), computed in float64."""
        check_choice("which", which, ("ntk", "nngp"))
        kernel, images = self._images(x, "x")
        return tiles.diagonal(kernel, images, which).astype(images.dtype)

    def entry_error(self, dtype: Any = np.float64, which: str = "ntk") -> EntryError:
        """Return the bound on an entry's error when tiles are computed in ``dtype``."""
        name = np.dtype(dtype).name
        if name not in ("float32", "float64"):
            raise InputError(f"kernels are computed in float32 or float64, not {name}")
        return conv_entry_error(name, self.depth, which)

    def work(self, n1: int, n2: int, d: int) -> float:
        """Return the floating-point operations of a tile in float64 (a quarter less in float32)."""
        degrees = sum(values.size for values in coefficients("float64").values())
        images = 2 if self.flip else 1
        return float(n1) * float(n2) * images * pair_work(self.stages_for(), self._shape()[2], degrees)

    def table_bytes(self, images: int, itemsize: int) -> int:
        """Return the bytes of the per-image tables of so many images."""
        own = sum(2 * stage.depth * stage.height * stage.width for stage in self.stages_for())
        return images * own * itemsize * (2 if self.flip else 1)

    def positions(self) -> int:
        """Return how many times a pair of images evaluates a layer at a pair of positions."""
        return (2 if self.flip else 1) * pair_positions(self.stages_for())

    def _shape(self) -> tuple[int, int, int]:
        if self.image_shape is None:
            raise InputError("rows are flat, so the kernel needs image_shape=(h, w, c), e.g. image_shape=(32, 32, 3)")
        return self.image_shape

    def _checked_shape(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        if len(shape) != 3 or any(not isinstance(v, (int, np.integer)) or v < 1 for v in shape):
            raise InputError(
                f"a convolutional kernel needs images of shape (h, w, c), not examples of shape {tuple(shape)}; "
                "for flat rows name it: data.image_shape, e.g. [32, 32, 3]"
            )
        h, w, c = (int(v) for v in shape)
        stages(self.depth, self.pool_after, self.readout, h, w)
        return h, w, c

    def _images(self, x: Array, name: str) -> tuple[Self, Array]:
        """Return the kernel bound to the shape, and images (n, h, w, c) in float32 or float64."""
        rows = np.asarray(x)
        if rows.dtype not in (np.float32, np.float64):
            rows = rows.astype(np.float64)
        if rows.ndim == 4 and self.channels_first:
            rows = np.moveaxis(rows, 1, -1)
        elif rows.ndim == 3:
            rows = rows[..., None]
        if rows.ndim == 4:
            if self.image_shape is not None and rows.shape[1:] != self.image_shape:
                raise InputError(f"{name} holds images of shape {rows.shape[1:]}, not {self.image_shape}")
            return self._bound(rows.shape[1:]), np.ascontiguousarray(rows)
        shape = self._shape()
        if rows.ndim != 2 or rows.shape[1] != int(np.prod(shape)):
            raise InputError(
                f"{name} has shape {rows.shape}, but images of shape {shape} are flat rows of {int(np.prod(shape))}"
            )
        if self.channels_first:
            return self, np.ascontiguousarray(np.moveaxis(rows.reshape(len(rows), shape[2], *shape[:2]), 1, -1))
        return self, np.ascontiguousarray(rows.reshape(len(rows), *shape))


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(f"{name} must be a whole number, 1 or more, not {value!r}")
    return int(value)
