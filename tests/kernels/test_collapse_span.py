"""The collapse's vector code: right on every length of run, the same bits wherever an entry stands, on the widest
registers of the machine."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from ntkdist.kernels.collapse import horner
from ntkdist.kernels.collapse_span import REGISTER_BYTES, positive_span, signed_span, survey
from ntkdist.kernels.wide_registers import PREFERENCE, widest_features


@njit(nogil=True, error_model="numpy")
def run_signed(row, near, far, own, other):
    signed_span(row, near, far, own, other)


@njit(nogil=True, error_model="numpy")
def run_positive(row, near, far, own, other):
    positive_span(row, near, far, own, other)


@njit(nogil=True, error_model="numpy")
def run_survey(row):
    return survey(row)


def problem(size, dtype, degree):
    rng = np.random.default_rng(size)
    near, far = (rng.standard_normal(degree + 1).astype(dtype) * dtype(0.1) for _ in range(2))
    row = (rng.random(size) * 2 - 1).astype(dtype)
    other = (rng.random(size) + 0.5).astype(dtype)
    return row, near, far, dtype(1.25), other


@pytest.mark.parametrize(("dtype", "degree", "ulps"), [(np.float64, 28, 40), (np.float32, 12, 40)])
@given(size=st.integers(0, 300))
def test_every_entry_of_a_run_is_its_polynomial(dtype, degree, ulps, size):
    row, near, far, own, other = problem(size, dtype, degree)
    got = row.copy()
    run_signed(got, tuple(near), tuple(far), own, other)
    r = np.sqrt(1 - np.abs(row.astype(np.float64)))
    want = np.where(row >= 0, horner(near.astype(np.float64), r), horner(far.astype(np.float64), r)) * own * other
    np.testing.assert_allclose(got, want, rtol=0, atol=ulps * np.finfo(dtype).eps)


@pytest.mark.parametrize(("dtype", "degree"), [(np.float64, 28), (np.float32, 12)])
@given(size=st.integers(1, 200), cut=st.integers(0, 200))
def test_bits_of_an_entry_do_not_depend_on_its_place_in_the_run(dtype, degree, size, cut):
    row, near, far, own, other = problem(size, dtype, degree)
    whole, parts = row.copy(), row.copy()
    run_signed(whole, tuple(near), tuple(far), own, other)
    cut = min(cut, size)
    for piece in (slice(0, cut), slice(cut, size)):
        run_signed(parts[piece], tuple(near), tuple(far), own, other[piece])
    np.testing.assert_array_equal(whole, parts)


@pytest.mark.parametrize(("dtype", "degree"), [(np.float64, 28), (np.float32, 12)])
def test_the_loop_for_positive_correlations_gives_the_bits_of_the_signed_one(dtype, degree):
    row, near, far, own, other = problem(777, dtype, degree)
    row = np.abs(row)
    row[:3] = 0, 1, 1 + np.finfo(dtype).eps
    one, other_one = row.copy(), row.copy()
    run_signed(one, tuple(near), tuple(far), own, other)
    run_positive(other_one, tuple(near), tuple(far), own, other)
    np.testing.assert_array_equal(one, other_one)
    assert np.isfinite(one).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(size=st.integers(1, 300))
def test_survey_finds_the_ends_of_a_run(dtype, size):
    row = problem(size, dtype, 3)[0]
    largest, smallest = run_survey(row)
    assert largest == np.abs(row).max()
    assert smallest == min(row.min(), 0)


@pytest.mark.parametrize(("dtype", "degree"), [(np.float64, 28), (np.float32, 12)])
def test_the_loop_runs_in_the_widest_registers_of_the_machine(dtype, degree):
    row, near, far, own, other = problem(64, dtype, degree)
    run_signed(row, tuple(near), tuple(far), own, other)
    assembly = "\n".join(run_signed.inspect_asm().values())
    register = "zmm" if REGISTER_BYTES == 64 else "ymm"
    fused = re.findall(rf"vfmadd\d+p[sd].*%{register}\d+", assembly)
    if not re.search(r"%[xyz]mm\d", assembly):
        pytest.skip("not an x86 processor")
    assert len(fused) >= degree


def test_wide_registers_are_asked_for_only_where_there_are_any():
    assert widest_features("+avx2,+avx512f") == f"+avx2,+avx512f,{PREFERENCE}"
    assert widest_features("+avx2,-avx512f") is None
