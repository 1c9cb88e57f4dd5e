"""The recursion's CUDA C, translated from the Python that Numba compiles: the same numbers on the CPU, no spills."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ntkdist.kernels import Kernel, Layer
from ntkdist.kernels.device.source import recursion_source
from ntkdist.kernels.device.translate import Translator
from ntkdist.kernels.error import CLOSE
from ntkdist.kernels.tile import check_rows, heat, prepare

SHIM = """
#include <cmath>
#define __global__
#define __device__
struct Index { unsigned x, y; };
static thread_local Index blockIdx, threadIdx, blockDim;
using namespace std;
"""
LAUNCH = """
#define EACH(ny, nx, call) for (unsigned gy = 0; gy * by < ny; gy++) for (unsigned gx = 0; gx * bx < nx; gx++) \\
  for (unsigned ty = 0; ty < by; ty++) for (unsigned tx = 0; tx < bx; tx++) { \\
    blockDim = {bx, by}; blockIdx = {gx, gy}; threadIdx = {tx, ty}; call; }
extern "C" void launch(void** a, long long* n, double* f, unsigned bx, unsigned by) {
  typedef const double* D; typedef const long long* I; typedef const REAL* R;
  EACH(n[2], n[3], recursion((REAL*)a[0], (R)a[1], (R)a[2], (D)a[3], (D)a[4], (D)a[5], (D)a[6], (D)a[7], (D)a[8],
    (D)a[9], (D)a[10], (I)a[11], (I)a[12], (I)a[13], (D)a[14], (D)a[15], n[0], n[1], n[2], n[3], n[4], n[5],
    (int)n[6], f[0], f[1], f[2]))
  by = 1;
  EACH(1, n[2], diagonal((REAL*)a[16], (D)a[3], (D)a[5], (D)a[7], (D)a[9], (I)a[11], (I)a[12], (I)a[13], (D)a[14],
    (D)a[15], n[0], n[1], n[2], (int)n[6], f[0], f[1]))
}
"""
KERNELS = {
    "biases": Kernel(3, "relu", 1.3, 0.4),
    "mixed": Kernel(
        layers=[
            Layer("erf", 1.2, 0.1),
            Layer("gelu", 1.1, residual=True),
            Layer("relu", 1.3, 0.2, layernorm=True, epsilon=1e-3),
            Layer("sin", 1.1),
            Layer("gaussian", 1.2, frozen=True),
            Layer("rectified_monomial(2)", 0.7),
        ],
        first_bias=0.3,
    ),
    "series": Kernel(layers=[Layer("polynomial(0,1,0.5)", 0.8), Layer("exp(1,0.2)", 0.5, 0.1)], first_frozen=True),
    "tabulated": Kernel(layers=[Layer("elu", 1.1, 0.1), Layer("tanh", 1.2)]),
}


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ctypes.CDLL]:
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    folder = tmp_path_factory.mktemp("shim")
    found = {}
    for dtype, real in (("float64", "double"), ("float32", "float")):
        (folder / f"{dtype}.cpp").write_text(SHIM + recursion_source(dtype) + LAUNCH.replace("REAL", real))
        command = ["g++", "-O1", "-shared", "-fPIC", "-ffp-contract=off", f"{dtype}.cpp", "-o", f"{dtype}.so"]
        subprocess.run(command, cwd=folder, check=True)
        found[dtype] = ctypes.CDLL(str(folder / f"{dtype}.so"))
    return found


def rows(dtype: str) -> np.ndarray:
    x = np.random.default_rng(0).standard_normal((11, 5))
    x[4], x[7], x[8], x[9] = x[1], -x[2], 1.7 * x[3], x[3] + 1e-7
    return x.astype(dtype)


def launched(library, kernel, dtype, which, block, padding=3):
    x, z = rows(dtype), rows(dtype)[:9]
    left, right = (prepare(kernel, check_rows(v, "x")) for v in (x, z))
    program = kernel.program
    tile = np.full((11, 9 + padding), 77, dtype)
    tile[:, :9] = x @ z.T
    diagonal = np.zeros(11, dtype)
    arrays = [
        tile, left.x, right.x, left.lengths, right.lengths, left.rows.q, right.rows.q, left.rows.image,
        right.rows.image, left.rows.coefficients, right.rows.coefficients, program.ops, program.where,
        program.series, program.par, program.numbers, diagonal,
    ]  # fmt: skip
    arrays = [np.ascontiguousarray(a) if a is not tile and a is not diagonal else a for a in arrays]
    pointers = (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays))
    sizes = (ctypes.c_longlong * 7)(
        program.depth, left.rows.coefficients.shape[1], 11, 9, 9 + padding, 5, which == "ntk"
    )
    reals = (ctypes.c_double * 3)(heat(kernel), kernel.first_bias**2, CLOSE[dtype])
    library.launch(pointers, sizes, reals, ctypes.c_uint(block[0]), ctypes.c_uint(block[1]))
    return tile, diagonal


@pytest.mark.parametrize("which", ["ntk", "nngp"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", KERNELS)
def test_the_cuda_recursion_computes_what_numba_computes(libraries, name, dtype, which):
    kernel = KERNELS[name]
    tile, diagonal = launched(libraries[dtype], kernel, dtype, which, (32, 4))
    other, _ = launched(libraries[dtype], kernel, dtype, which, (3, 2), padding=0)
    assert np.array_equal(tile[:, :9], other)
    assert np.all(tile[:, 9:] == 77)
    want = kernel.tile(rows(dtype), rows(dtype)[:9], which)
    own = kernel.diagonal(rows(dtype), which)
    scale = np.sqrt(np.abs(np.outer(own, own[:9]))) + 1e-300
    assert np.max(abs(tile[:, :9] - want) / scale) < (2e-13 if dtype == "float64" else 4e-7)
    np.testing.assert_allclose(diagonal, own, rtol=1e-13 if dtype == "float64" else 2e-7)
    # Equal rows, wherever they stand, have the bits of the diagonal.
    assert tile[4, 1] == tile[1, 4] == diagonal[1]
    assert np.array_equal(np.diag(tile[:9, :9]), diagonal[:9])


@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_nvrtc_compiles_the_recursion_without_spills(dtype, arch):
    nvidia = pytest.importorskip("nvidia", reason="nvidia-cuda-nvrtc is not installed")
    found = [p for root in nvidia.__path__ for p in Path(root).rglob("libnvrtc.so.*") if "alt" not in p.name]
    if not found:
        pytest.skip("nvidia-cuda-nvrtc is not installed")
    nvrtc, program = ctypes.CDLL(str(found[0])), ctypes.c_void_p()
    text = recursion_source(dtype).encode()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), text, b"k.cu", 0, None, None) == 0
    options = (ctypes.c_char_p * 2)(f"-arch={arch}".encode(), b"--ptxas-options=-v")
    code = nvrtc.nvrtcCompileProgram(program, 2, options)
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    text = log.value.decode()
    assert code == 0, text
    parts = [line for line in text.splitlines() if "spill stores" in line]
    assert parts
    assert all("0 bytes spill stores" in line for line in parts), text
    registers = [int(part.split(" registers")[0]) for part in text.split("Used ")[1:]]
    assert max(registers) <= 255


def outside_the_subset(x):
    return [x]


def two_types(x):
    y = x > 0.0
    y = x
    return y


@pytest.mark.parametrize("function", [outside_the_subset, two_types])
def test_what_is_not_portable_is_refused_here(function):
    with pytest.raises(NotImplementedError, match=function.__name__):
        Translator().add(function)
