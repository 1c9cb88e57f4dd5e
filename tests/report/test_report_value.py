"""Printed digits are the digits the interval supports."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntkdist.report import format_value
from ntkdist.report.quantity import count, duration, rate, size
from ntkdist.report.value import format_ends

FINITE = st.floats(-1e290, 1e290, allow_subnormal=False).filter(lambda v: v == 0 or abs(v) > 1e-280)
CONCISE = re.compile(r"^(-?\d+)(?:\.(\d+))?\((\d)\)(?:e([+-]\d+))?( \[.*\])?$")


@pytest.mark.parametrize(
    ("value", "lower", "upper", "text"),
    [
        (0.4107312, 0.4107309, 0.4107315, "0.4107312(3)"),
        (5.2, 5.19, 5.21, "5.20(1)"),
        (0.95, 0.9, 1.0, "0.95(5)"),
        (0.31, 0.309, 0.32, "0.31(1) [0.3090, 0.3200]"),
        (3.903614466e-05, 3.9036e-05, 3.9037e-05, "3.90361(9)e-05 [3.9036e-05, 3.9037e-05]"),
        (11.0, 1e-5, 12.0, "≈ 11 [1e-05, 12.0]"),
        (1e-12, -1e-9, 2e-9, "1e-12 (sign unresolved) [-1e-09, 2e-09]"),
        (2.0, 2.0, 2.0, "2"),
        (2.5, None, None, "2.5"),
        (2.5, 2.0, None, "2.5 ≥ 2"),
        (2.5, None, 3.0, "2.5 ≤ 3"),
        (5.0, 1.0, 2.0, "5 (outside its interval) [1.00, 2.00]"),
        (None, None, None, "unresolved"),
        (None, 0.0, 1.0, "unresolved [0, 1.00]"),
        (float("nan"), None, float("inf"), "unresolved"),
        ("<script>", True, 10**400, "unresolved"),
    ],
)
def test_format_value_prints_what_is_known(value: object, lower: object, upper: object, text: str) -> None:
    assert format_value(value, lower, upper) == text


@settings(deadline=None, max_examples=300)
@given(FINITE, FINITE, FINITE)
def test_the_printed_range_contains_the_interval(a: float, b: float, c: float) -> None:
    lower, value, upper = sorted((a, b, c))
    match = CONCISE.match(format_value(value, lower, upper))
    if match is None:
        return
    whole, fraction, steps, exponent, _ = match.groups()
    scale = Fraction(10) ** int(exponent or 0)
    middle = Fraction(f"{whole}.{fraction or 0}") * scale
    reach = int(steps) * scale / 10 ** len(fraction or "")
    assert middle - reach <= Fraction(repr(lower))
    assert Fraction(repr(upper)) <= middle + reach


@settings(deadline=None, max_examples=300)
@given(st.floats(0.01, 1e6), st.floats(1e-14, 0.3), st.floats(0.4, 1.0))
def test_a_resolved_number_is_printed_in_concise_notation_to_its_width(
    value: float, relative: float, share: float
) -> None:
    half = value * relative
    text = format_value(value, value - half, value + share * half, ends=False)
    match = CONCISE.match(text)
    assert match is not None, text
    _, fraction, steps, exponent, _ = match.groups()
    reach = int(steps) * 10.0 ** (int(exponent or 0) - len(fraction or ""))
    assert reach <= 22 * half + 1e-14 * value  # no digit that the interval supports is dropped


@settings(deadline=None, max_examples=300)
@given(FINITE, FINITE)
def test_ends_are_rounded_outward(a: float, b: float) -> None:
    lower, upper = sorted((a, b))
    left, right = format_ends(lower, upper).strip("[]").split(", ")
    assert Fraction(left) <= Fraction(repr(lower))
    assert Fraction(repr(upper)) <= Fraction(right)
    assert Fraction(format_ends(lower, None)[2:]) <= Fraction(repr(lower))
    assert Fraction(repr(upper)) <= Fraction(format_ends(None, upper)[2:])
    assert (Fraction(left) == 0) == (lower == 0)


def test_quantities_are_in_units_people_read() -> None:
    assert (count(1437), count(2.5), count(None)) == ("1,437", "2.5", "not recorded")
    assert (size(8266000), size(12), size(3e18), size("x")) == (
        "8.27 MB",
        "12 bytes",
        "3,000 PB",
        "not recorded",
    )
    assert [duration(s) for s in (0.0854, 12.3, 250, 12000, None)] == [
        "85.4 ms",
        "12.3 s",
        "4 min 10 s",
        "3 h 20 min",
        "not recorded",
    ]
    assert [rate(r, "rows") for r in (6.4e8, 12.0, None)] == ["640 M rows/s", "12 rows/s", "not recorded"]
