"""The emitted CUDA C without a GPU: run on the CPU through a shim, and compiled by NVRTC where installed."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ntkdist.kernels import Kernel
from ntkdist.kernels.collapse import Fit, fit, horner
from ntkdist.kernels.collapse_source import cuda_source
from ntkdist.kernels.error import CLOSE

SHIM = """
#include <cmath>
#define __global__
#define __constant__ static const
struct Index { unsigned x, y; };
static thread_local Index blockIdx, threadIdx, blockDim;
static inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
static inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }
static inline void atomicAdd(unsigned* p, unsigned v) { *p += v; }
using std::sqrt;
"""
LAUNCH = """
extern "C" void launch(REAL* t, REAL* a, REAL* b, long long n1, long long n2, long long stride, REAL close,
                       unsigned* count, unsigned bx, unsigned by) {
  blockDim = {bx, by};
  for (unsigned gy = 0; gy * by < n1; gy++) for (unsigned gx = 0; gx * bx < n2; gx++)
    for (unsigned ty = 0; ty < by; ty++) for (unsigned tx = 0; tx < bx; tx++) {
      blockIdx = {gx, gy}; threadIdx = {tx, ty}; collapse(t, a, b, n1, n2, stride, close, count); }
}
"""


def fitted(dtype: str) -> Fit:
    polynomial = fit(Kernel(3), True, dtype)
    assert polynomial is not None
    return polynomial


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_cuda_source_computes_what_numpy_computes(dtype: str, tmp_path: Path) -> None:
    polynomial = fitted(dtype)
    real = {"float64": "double", "float32": "float"}[dtype]
    source = SHIM + cuda_source(polynomial.near, polynomial.far) + LAUNCH.replace("REAL", real)
    (tmp_path / "k.cpp").write_text(source)
    library = tmp_path / "k.so"
    subprocess.run(
        ["g++", "-O1", "-shared", "-fPIC", "-ffp-contract=off", str(tmp_path / "k.cpp"), "-o", str(library)],
        check=True,
    )
    rng = np.random.default_rng(0)
    rho = rng.uniform(-1, 1, (37, 61)).astype(dtype)
    rho[3, 4], rho[5, 6], rho[7, 8] = 1, -1, 0
    own, other = rng.uniform(1, 2, 37).astype(dtype), rng.uniform(1, 2, 61).astype(dtype)
    near = np.dtype(dtype).type(CLOSE[dtype] / 2)
    scalar = {"float64": ctypes.c_double, "float32": ctypes.c_float}[dtype]
    results = []
    for bx, by in ((32, 8), (7, 3)):
        tile = np.full((37, 64), 9.0, dtype)
        tile[:, :61] = rho
        count = ctypes.c_uint(0)
        ctypes.CDLL(str(library)).launch(
            tile.ctypes.data_as(ctypes.c_void_p), own.ctypes.data_as(ctypes.c_void_p),
            other.ctypes.data_as(ctypes.c_void_p), ctypes.c_longlong(37), ctypes.c_longlong(61),
            ctypes.c_longlong(64), scalar(near), ctypes.byref(count), ctypes.c_uint(bx), ctypes.c_uint(by),
        )  # fmt: skip
        results.append(tile)
        assert np.all(tile[:, 61:] == 9)
        assert count.value == np.sum(1 - abs(rho) < near)
    assert np.array_equal(*results)
    r = np.sqrt(1 - abs(rho))
    want = np.where(rho >= 0, horner(polynomial.near, r), horner(polynomial.far, r)) * np.outer(own, other)
    want = np.where(1 - abs(rho) < near, rho, want)
    room = 8 * np.finfo(dtype).eps * 4 * np.outer(own, other)
    assert np.all(abs(results[0][:, :61] - want) <= room)


@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_nvrtc_compiles_without_spills(dtype: str, arch: str) -> None:
    nvidia = pytest.importorskip("nvidia", reason="nvidia-cuda-nvrtc is not installed")
    found = [p for root in nvidia.__path__ for p in Path(root).rglob("libnvrtc.so.*") if "alt" not in p.name]
    if not found:
        pytest.skip("nvidia-cuda-nvrtc is not installed")
    nvrtc = ctypes.CDLL(str(found[0]))
    polynomial = fitted(dtype)
    program = ctypes.c_void_p()
    text = cuda_source(polynomial.near, polynomial.far).encode()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), text, b"k.cu", 0, None, None) == 0
    options = (ctypes.c_char_p * 2)(f"-arch={arch}".encode(), b"--ptxas-options=-v")
    code = nvrtc.nvrtcCompileProgram(program, 2, options)
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    assert code == 0, log.value.decode()
    assert b"0 bytes spill stores" in log.value
    registers = int(log.value.decode().split("Used ")[1].split(" registers")[0])
    assert registers <= 48
