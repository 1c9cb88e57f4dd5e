"""Tiles of CuPy arrays: the driver against a CuPy stand-in that runs the emitted source on the CPU, and on a GPU."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from test_recursion_on_device import KERNELS, SHIM, rows

import ntkdist.kernels.device.tile as driver
from ntkdist.errors import InputError

LOOP = """
extern "C" void NAME_on_cpu(unsigned gx, unsigned gy, unsigned bx, unsigned by, void** a) {
  for (unsigned y = 0; y < gy; y++) for (unsigned x = 0; x < gx; x++)
    for (unsigned v = 0; v < by; v++) for (unsigned u = 0; u < bx; u++) {
      blockDim = {bx, by}; blockIdx = {x, y}; threadIdx = {u, v}; NAME(ARGS); }
}
"""


class Function:
    """A kernel as CuPy calls it: grid, block, arguments by value or by address."""

    def __init__(self, compiled):
        self.compiled = compiled

    def __call__(self, grid, block, arguments):
        held = [
            np.array(
                a.ctypes.data if isinstance(a, np.ndarray) else a, np.uint64 if isinstance(a, np.ndarray) else None
            )
            for a in arguments
        ]
        pointers = (ctypes.c_void_p * len(held))(*(h.ctypes.data for h in held))
        grid, block = (*grid, 1)[:2], (*block, 1)[:2]
        self.compiled(*(ctypes.c_uint(v) for v in (*grid, *block)), pointers)


@pytest.fixture
def cupy(monkeypatch, tmp_path):
    """A stand-in with the members that the driver names, backed by NumPy and g++."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    array = type("ndarray", (np.ndarray,), {"__module__": "cupy"})
    modules = []

    def raw_module(code):
        text = SHIM + code
        for name in ("recursion", "diagonal"):
            head = re.search(rf"void {name}\(([^)]*)\)", code)[1]
            kinds = [" ".join(part.split()[:-1]) for part in head.split(",")]
            values = ", ".join(f"*({kind}*)a[{i}]" for i, kind in enumerate(kinds))
            text += LOOP.replace("NAME", name).replace("ARGS", values)
        stem = tmp_path / f"m{len(modules)}"
        stem.with_suffix(".cpp").write_text(text)
        command = ["g++", "-O1", "-shared", "-fPIC", "-ffp-contract=off", f"{stem}.cpp", "-o", f"{stem}.so"]
        subprocess.run(command, check=True)
        modules.append(ctypes.CDLL(f"{stem}.so"))
        return types.SimpleNamespace(get_function=lambda n, m=modules[-1]: Function(getattr(m, f"{n}_on_cpu")))

    held = {"now": 0}
    linalg = types.SimpleNamespace(
        COMPUTE_TYPE_PEDANTIC=1,
        get_compute_type=lambda _dtype: held["now"],
        set_compute_type=lambda _dtype, kind: held.update(now=kind),
    )

    def matmul(a, b, out):
        assert held["now"] == 1, "a product must not be left to TF32"
        np.matmul(a, b, out=out)

    fake = types.SimpleNamespace(
        asnumpy=lambda a: np.array(a).view(np.ndarray),
        asarray=lambda a: np.array(a).view(array),
        empty=lambda shape, dtype: np.full(shape, 7, dtype).view(array),
        matmul=matmul,
        tril=np.tril,
        RawModule=raw_module,
        cuda=types.SimpleNamespace(Device=lambda: types.SimpleNamespace(attributes={"L2CacheSize": 600})),
        _core=types.SimpleNamespace(_routines_linalg=linalg),
    )
    monkeypatch.setitem(sys.modules, "cupy", fake)
    driver._module.cache_clear()
    yield fake
    assert held["now"] == 0, "the setting is given back"
    driver._module.cache_clear()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_tiles_of_device_arrays_are_those_of_host_arrays(cupy, dtype):
    x, z = rows(dtype), rows(dtype)[:9] * np.dtype(dtype).type(0.9)
    on, other = cupy.asarray(x), cupy.asarray(z)
    room = 2e-13 if dtype == "float64" else 4e-7
    for kernel in (KERNELS["biases"], KERNELS["mixed"]):
        for which in ("ntk", "nngp"):
            own, theirs = kernel.diagonal(x, which), kernel.diagonal(z, which)
            got = kernel.cross(on, other, which)
            assert type(got).__module__ == "cupy"
            assert got.dtype == dtype
            want = kernel.cross(x, z, which)
            assert np.max(np.abs(got - want) / np.sqrt(np.outer(own, theirs))) < room
            square, diagonal = kernel.tile(on, which=which), kernel.diagonal(on, which)
            assert np.array_equal(square, square.T)
            assert np.array_equal(np.diag(square), diagonal)
            assert square[4, 1] == diagonal[1]
            np.testing.assert_allclose(diagonal, own, rtol=room)


def test_what_a_device_tile_refuses(cupy, monkeypatch):
    kernel, x = KERNELS["biases"], rows("float64")
    on = cupy.asarray(x)
    for left, right in ((on, x), (x, on)):
        with pytest.raises(InputError, match="both"):
            kernel.tile(left, right)
    with pytest.raises(InputError, match="columns"):
        kernel.tile(on, cupy.asarray(x[:, :3]))
    with pytest.raises(InputError, match="contiguous"):
        kernel.tile(on, out=cupy.empty((2, 2), np.float64))
    assert kernel.tile(on, out=(out := cupy.empty((11, 11), np.float64))) is out
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    with pytest.raises(InputError, match="TF32"):
        kernel.tile(on)


def test_every_member_of_cupy_that_is_named_exists():
    real = pytest.importorskip("cupy", reason="CuPy is not installed")
    text = "\n".join(p.read_text() for p in Path(driver.__file__).parent.glob("*.py"))
    for path in set(re.findall(r"\bcupy\.([A-Za-z_][\w.]*\w)", text)):
        place = real
        for name in path.removesuffix("()").split("."):
            place = getattr(place, name)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", KERNELS)
def test_a_gpu_computes_what_the_cpu_computes(name, dtype):
    real = pytest.importorskip("cupy", reason="CuPy is not installed")
    if not real.cuda.is_available():
        pytest.skip("there is no CUDA device")
    kernel, x = KERNELS[name], rows(dtype)
    got = real.asnumpy(kernel.tile(real.asarray(x)))
    own = kernel.diagonal(x)
    assert np.max(np.abs(got - kernel.tile(x)) / np.sqrt(np.outer(own, own))) < (2e-13 if dtype == "float64" else 2e-6)
    assert np.array_equal(np.diag(got), real.asnumpy(kernel.diagonal(real.asarray(x))))
