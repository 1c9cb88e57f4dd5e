"""What holds for every convolutional kernel whatever the numbers: symmetry, blocks, equal images, shapes, words."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from ntkdist.errors import InputError
from ntkdist.kernels import ConvKernel, TileKernel, kernel_from_spec


def pictures(n: int, dtype: str = "float64") -> np.ndarray[Any, Any]:
    x = np.random.default_rng(1).standard_normal((n, 6, 5, 2)).astype(dtype)
    x[-1] = x[0]
    return x


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("options", [{}, {"readout": "gap"}, {"flip": True, "residual": True}])
def test_a_gram_matrix_with_duplicates_is_symmetric_and_positive_semi_definite(options: Any, dtype: str) -> None:
    x = pictures(70, dtype)
    kernel = ConvKernel(4, **options)
    gram = kernel.tile(x, threads=2)
    assert gram.dtype == dtype
    assert np.array_equal(gram, gram.T)
    assert np.array_equal(gram, kernel.tile(x))
    assert np.array_equal(np.diag(gram), kernel.diagonal(x))
    assert gram[-1, 0] == gram[0, 0] == gram[-1, -1]
    # Mirrored entries were computed with the pair the other way round.
    assert np.allclose(gram[0], gram[-1], rtol=20 * np.finfo(dtype).eps, atol=0)
    values = np.linalg.eigvalsh(gram.astype(np.float64))
    assert values[0] >= -len(x) * np.finfo(dtype).eps * values[-1]


@pytest.mark.parametrize("readout", ["flatten", "gap"])
def test_an_entry_does_not_depend_on_the_tile_it_is_in(readout: str) -> None:
    x = pictures(50)
    kernel = ConvKernel(3, readout=readout)
    whole = kernel.tile(x)
    assert np.array_equal(kernel.tile(x[40:], x[:17]), whole[40:, :17])
    assert np.allclose(kernel.tile(x[:17], x[40:]), whole[40:, :17].T, rtol=1e-13)


def test_flipping_is_the_average_over_the_augmented_dataset() -> None:
    x, z = pictures(5), pictures(4)[:3]
    plain, flipped = ConvKernel(3), ConvKernel(3, flip=True)
    both = np.concatenate([z, z[:, :, ::-1]])
    k = plain.tile(x, both)
    assert np.allclose(flipped.tile(x, z), (k[:, :3] + k[:, 3:]) / 2, rtol=1e-13)
    assert np.allclose(flipped.tile(x[:, :, ::-1], z), flipped.tile(x, z), rtol=1e-13)
    # Ridge regression on the doubled dataset and on the averaged kernel predict the same.
    y = np.random.default_rng(2).standard_normal((5, 1))
    doubled = np.concatenate([x, x[:, :, ::-1]])
    full = plain.tile(doubled)
    want = plain.tile(z, doubled) @ np.linalg.solve(full + 0.2 * np.eye(10), np.concatenate([y, y]))
    half = flipped.tile(z, x) @ np.linalg.solve(flipped.tile(x) + 0.1 * np.eye(5), y)
    assert np.allclose(half, want, rtol=1e-10)


def test_flat_rows_with_a_shape_are_the_images() -> None:
    x = pictures(3)
    kernel = ConvKernel(2).for_inputs((6, 5, 2))
    assert np.array_equal(kernel.tile(x.reshape(3, -1)), kernel.tile(x))
    assert np.array_equal(kernel(x), kernel.cross(x, x))
    grey = x[..., 0]
    assert np.array_equal(ConvKernel(2).tile(grey), ConvKernel(2).tile(grey[..., None]))
    planar = np.ascontiguousarray(np.moveaxis(x, -1, 1))
    first = ConvKernel(2, channels_first=True)
    assert np.array_equal(first.tile(planar), kernel.tile(x))
    assert np.array_equal(first.for_inputs((2, 6, 5)).tile(planar.reshape(3, -1)), kernel.tile(x))
    target = np.empty((3, 3))
    assert kernel.tile(x, out=target) is target
    assert kernel.tile(x[:0], x).shape == (0, 3)
    assert kernel.tile(np.round(x).astype(int)).dtype == np.float64


def test_a_kernel_is_its_specification() -> None:
    kernel = ConvKernel(preset="myrtle5", activation="leaky_relu(0.1)", sigma_b=0.2).for_inputs((8, 8, 3))
    again = kernel_from_spec(kernel.spec())
    assert again == kernel
    assert hash(again) == hash(kernel)
    assert pickle.loads(pickle.dumps(kernel)).fingerprint == kernel.fingerprint
    assert isinstance(kernel, TileKernel)
    assert not kernel.is_zonal
    assert kernel.has_ntk
    assert not kernel.needs_direction
    assert "pooled after layers 2, 3" in str(kernel)
    with pytest.raises(InputError, match="another version"):
        kernel_from_spec({**kernel.spec(), "version": 99})
    with pytest.raises(InputError, match="not a convolutional kernel's specification"):
        kernel_from_spec({**kernel.spec(), "stride": 2})


def test_the_cost_counts_pairs_of_positions() -> None:
    flat, gap = (ConvKernel(5, readout=r).for_inputs((8, 6, 3)) for r in ("flatten", "gap"))
    assert flat.positions() == 5 * 48
    assert gap.positions() == 5 * 48**2
    assert ConvKernel(5, readout="gap", flip=True).for_inputs((8, 6, 3)).positions() == 2 * gap.positions()
    # One pooling: the first layer over all fine pairs, the second over all coarse ones.
    assert ConvKernel(2, readout="gap", pool_after=(1,)).for_inputs((4, 4, 1)).positions() == 16**2 + 4**2
    assert gap.work(2, 3, 144) == 6 * gap.work(1, 1, 144)
    assert flat.table_bytes(10, 8) == 10 * 2 * 5 * 48 * 8


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ConvKernel(3, filter=4), "filter must be odd .* not 4: take 5"),
        (lambda: ConvKernel(0), "depth must be a whole number, 1 or more, not 0"),
        (lambda: ConvKernel(3, activation="erf"), "have relu, .* not erf"),
        (lambda: ConvKernel(3, activation="linear"), "have relu, .* not linear"),
        (lambda: ConvKernel(3, pool_after=(3,)), "pool_after must list increasing layers below depth 3"),
        (lambda: ConvKernel(3, preset="myrtle5"), "fixes depth and pool_after"),
        (lambda: ConvKernel(3, readout="max"), "readout 'max' is not known"),
        (lambda: ConvKernel(3).tile(np.zeros((2, 12))), "needs image_shape"),
        (lambda: ConvKernel(3).for_inputs((12,)), r"needs images of shape \(h, w, c\), not examples of shape \(12,\)"),
        (lambda: ConvKernel(3, image_shape=(2, 2, 3)).tile(np.zeros((2, 11))), "are flat rows of 12"),
        (lambda: ConvKernel(3, image_shape=(2, 2, 3)).tile(np.zeros((2, 3, 2, 2))), "holds images of shape"),
        (lambda: ConvKernel(3, image_shape=(2, 2, 3)).for_inputs((2, 2, 4)), "but an example has shape"),
        (lambda: ConvKernel(2, pool_after=(1,)).tile(np.ones((1, 3, 4, 1))), "cannot be pooled by 2 × 2 after layer 1"),
        (lambda: ConvKernel(1).tile(np.full((1, 2, 2, 1), np.nan)), "image 0 has a value that is not finite"),
        (lambda: ConvKernel(1).tile(np.ones((1, 2, 2, 1)), out=np.ones((2, 1))), "out must have shape"),
        (lambda: ConvKernel(1).entry_error("float16"), "float32 or float64, not float16"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(make: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        make()
