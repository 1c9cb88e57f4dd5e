"""The CUDA source without a GPU: run on the CPU through a shim, and compiled by NVRTC for two architectures."""

from __future__ import annotations

import ctypes
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from warp_shim import build

from ntkdist.errors import ChecksFailed
from ntkdist.kernels import ConvKernel
from ntkdist.kernels.conv import device
from ntkdist.kernels.conv.cuda import cuda_source, device_scalars, supported
from ntkdist.kernels.conv.run_stage import layer_scalars
from ntkdist.kernels.conv.tile import pairs, prepare


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
@pytest.mark.parametrize(
    ("dtype", "options", "shape", "room"),
    [
        ("float64", {"readout": "gap", "sigma_b": 0.2}, (5, 7, 2), 1e-13),
        ("float64", {"readout": "flatten", "filter": 5, "last_frozen": True}, (6, 4, 1), 1e-13),
        ("float32", {"readout": "gap", "first_frozen": True, "activation": "abs"}, (4, 9, 3), 2e-6),
        ("float32", {"readout": "flatten"}, (3, 32, 3), 2e-6),
    ],
)
def test_the_cuda_source_computes_what_numba_computes(
    dtype: str, options: Any, shape: tuple[int, int, int], room: float, tmp_path: Path
) -> None:
    x = np.random.default_rng(0).standard_normal((5, *shape)).astype(dtype)
    x[0, :2, :3] = 0
    kernel = ConvKernel(3, **options).for_inputs(shape)
    left, right = prepare(kernel, x[:2]), prepare(kernel, x[2:])
    stage = kernel.stages_for()[0]
    library = build(cuda_source(dtype, kernel.filter, shape[0], shape[1], warps=2), tmp_path)
    sums = np.full((2, 3, 2), np.nan)
    arrays = [left.x, right.x, left.a[0], left.s[0], right.a[0], right.s[0]]
    arrays.append(np.array(device_scalars(layer_scalars(kernel, stage, shape[2], dtype)), dtype))
    pointers = [np.ascontiguousarray(a).ctypes.data_as(ctypes.c_void_p) for a in arrays]
    shifts = shape[0] * shape[1] if kernel.readout == "gap" else 1
    library.launch(
        *pointers, shape[2], 3, shifts, ctypes.c_longlong(2), ctypes.c_longlong(3), sums.ctypes.data_as(ctypes.c_void_p)
    )
    count = float(shape[0] * shape[1]) ** (2 if kernel.readout == "gap" else 1)
    for place, which in enumerate(("nngp", "ntk")):
        want = pairs(kernel, left, right, which)
        assert np.all(abs(sums[..., place] / count - want) <= room * abs(want).max())


def nvrtc_log(source: str, arch: str) -> tuple[int, str]:
    nvidia = pytest.importorskip("nvidia", reason="nvidia-cuda-nvrtc is not installed")
    found = [p for root in nvidia.__path__ for p in Path(root).rglob("libnvrtc.so.*") if "alt" not in p.name]
    if not found:
        pytest.skip("nvidia-cuda-nvrtc is not installed")
    nvrtc = ctypes.CDLL(str(found[0]))
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"cntk.cu", 0, None, None) == 0
    options = (ctypes.c_char_p * 3)(f"-arch={arch}".encode(), b"--ptxas-options=-v", b"-prec-sqrt=false")
    code = nvrtc.nvrtcCompileProgram(program, 3, options)
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    return code, log.value.decode()


@pytest.mark.parametrize(("dtype", "arch"), [("float32", "sm_80"), ("float32", "sm_90"), ("float64", "sm_90")])
def test_nvrtc_keeps_all_rows_of_a_32_by_32_image_in_registers(dtype: str, arch: str) -> None:
    code, log = nvrtc_log(cuda_source(dtype, 3, 32, 32), arch)
    assert code == 0, log
    spilled = int(re.search(r"(\d+) bytes spill stores", log)[1])  # type: ignore[index]
    registers = int(re.search(r"Used (\d+) registers", log)[1])  # type: ignore[index]
    assert registers <= 255
    assert spilled <= (0 if dtype == "float32" else 32), log


class FakeCupy:
    """What ``device`` uses of CuPy, with the kernel run by the shim."""

    float64 = np.float64
    asarray, empty, asnumpy = staticmethod(np.asarray), staticmethod(np.empty), staticmethod(np.asarray)

    def __init__(self, folder: Path, wrong: float = 0.0) -> None:
        self.folder, self.wrong = folder, wrong

    def RawKernel(self, source: str, name: str, **_: Any) -> Any:
        self.folder.mkdir(exist_ok=True)
        library = build(source, self.folder)

        def run(grid: Any, block: Any, given: Any) -> None:
            assert block[0] == 32 * int(re.search(r"WARPS (\d+)", source)[1])  # type: ignore[index]
            scalars = np.array(given[6:15], given[0].dtype)
            pointers = [a.ctypes.data_as(ctypes.c_void_p) for a in (*given[:6], scalars)]
            counts = [ctypes.c_int(int(v)) for v in given[15:18]]
            sizes = [ctypes.c_longlong(v) for v in (grid[1], grid[0])]
            library.launch(*pointers, *counts, *sizes, given[19].ctypes.data_as(ctypes.c_void_p))
            given[19][...] += self.wrong

        return run


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
def test_a_device_gives_the_same_tile_and_a_wrong_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(1).standard_normal((5, 4, 4, 2))
    x[-1] = x[0]
    kernel = ConvKernel(2, readout="gap", flip=True)
    want = kernel.tile(x)
    device._compiled.cache_clear()
    monkeypatch.setattr(device, "cupy_with_device", lambda: FakeCupy(tmp_path / "right"))
    got = kernel.tile(x)
    assert np.allclose(got, want, rtol=1e-12, atol=0)
    assert np.array_equal(got, got.T)
    device._compiled.cache_clear()
    device._CHECKED.clear()
    monkeypatch.setattr(device, "cupy_with_device", lambda: FakeCupy(tmp_path / "wrong", wrong=0.1))
    with pytest.raises(ChecksFailed, match="do not use this device"):
        kernel.tile(x)
    device._compiled.cache_clear()


def test_without_cupy_or_a_device_tiles_are_computed_on_the_cpu() -> None:
    if device.cupy_with_device() is None:
        assert not device.covers(ConvKernel(2).for_inputs((4, 4, 1)))


def test_what_the_device_kernel_does_not_cover_is_known() -> None:
    assert supported(32, 1, False)
    assert not supported(33, 1, False)
    assert not supported(8, 2, False)
    assert not supported(8, 1, True)
