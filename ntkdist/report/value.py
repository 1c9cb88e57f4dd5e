"""Numbers printed with exactly the digits that their interval supports.

A value with lower ≤ value ≤ upper is written in the concise notation of the GUM (JCGM 100:2008, 7.2.2):
0.4107312(3) says 0.4107312 ± 0.0000003, and the printed range always contains the interval (the digit in
brackets is rounded up). Where the interval is too lopsided for one digit, both ends follow, rounded outward.
A number whose interval is wider than itself keeps two digits and an ≈, one whose sign is open says so, and
one that is not known at all is called unresolved: nothing is hidden, and no digit is printed that the
arithmetic does not support.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal

from ntkdist.report.reading import number

_DIGITS = 15
"""No float64 quotient of several operations carries more."""
_LOPSIDED = 3
_EXACT = Context(prec=800)


def format_value(value: object, lower: object = None, upper: object = None, *, ends: bool = True) -> str:
    """The number as text, e.g. ``0.4107312(3)`` or ``0.41073 [0.41072, 0.41098]`` or ``≈ 11 [2.0, 40]``.

    ``ends=False`` leaves the interval out, for a place that prints it beside the value.
    """
    v, lo, hi = number(value), number(lower), number(upper)
    text, interval = _parts(v, lo, hi)
    return f"{text} {interval}" if interval and ends else text


def _parts(v: float | None, lo: float | None, hi: float | None) -> tuple[str, str]:
    """The digits of the value, and the interval where the digits do not tell it."""
    interval = format_ends(lo, hi)
    if v is None:
        return "unresolved", interval
    if lo is None or hi is None:
        return significant(v, 6), interval
    if not lo <= v <= hi:
        return f"{significant(v, 6)} (outside its interval)", interval
    if lo == hi:
        return significant(v, _DIGITS), ""
    down, up = (_EXACT.subtract(_decimal(a), _decimal(b)) for a, b in ((v, lo), (hi, v)))
    half = max(down, up)
    if lo < 0 < hi:
        return f"{significant(v, 2)} (sign unresolved)", interval
    if half > abs(_decimal(v)) / 2:
        return f"≈ {significant(v, 2)}", interval
    lopsided = half > _LOPSIDED * min(down, up) and _place(half, 1) >= _place(_decimal(v), _DIGITS)
    return _concise(_decimal(v), _decimal(lo), _decimal(hi)), interval if lopsided else ""


def format_ends(lower: object, upper: object) -> str:
    """The interval as ``[a, b]``, rounded outward to three digits of its width.

    One end that is not known leaves ``≥ a`` or ``≤ b``, none known the empty string.
    """
    lo, hi = number(lower), number(upper)
    if lo is None and hi is None:
        return ""
    if hi is None:
        assert lo is not None
        return f"≥ {_short(_decimal(lo), ROUND_FLOOR)}"
    if lo is None:
        return f"≤ {_short(_decimal(hi), ROUND_CEILING)}"
    a, b = _decimal(lo), _decimal(hi)
    place = max(_place(_EXACT.subtract(b, a), 3), _place(max(abs(a), abs(b)), _DIGITS + 1))
    return f"[{_rounded(a, place, ROUND_FLOOR)}, {_rounded(b, place, ROUND_CEILING)}]"


def significant(value: float, digits: int) -> str:
    """``value`` with at most ``digits`` significant digits, without trailing zeros."""
    if value == int(value) and abs(value) < 1e15 and len(str(abs(int(value)))) <= max(digits, 6):
        return f"{value:.0f}"
    return _tidy(f"{value:.{digits}g}")


def _concise(v: Decimal, lo: Decimal, hi: Decimal) -> str:
    """``0.4107312(3)``: the place of the last digit is the finest at which one digit covers the interval."""
    half = max(_EXACT.subtract(v, lo), _EXACT.subtract(hi, v))
    place = max(_place(half, 1), _place(v, _DIGITS))
    while True:
        unit = Decimal(1).scaleb(place)
        middle = v.quantize(unit, ROUND_HALF_EVEN, _EXACT)
        reach = max(_EXACT.subtract(hi, middle), _EXACT.subtract(middle, lo))
        steps = int(_EXACT.divide(reach, unit).to_integral_value(ROUND_CEILING))
        if steps <= 9:
            return _with_steps(middle, place, steps)
        place += 1


def _with_steps(middle: Decimal, place: int, steps: int) -> str:
    """``0.4107312(3)``; ``1.23(4)e-09`` where plain digits would be too long."""
    exponent = middle.adjusted()
    if -4 <= exponent < 12 and place <= 0:
        return f"{middle:f}({steps})"
    shown = middle.scaleb(-exponent, _EXACT)
    digits = max(exponent - place, 0)
    return f"{shown:.{digits}f}({steps})e{exponent:+03d}"


def _decimal(x: float) -> Decimal:
    """The number as the document writes it (the shortest decimal that reads back as this float64)."""
    return Decimal(repr(x))


def _short(x: Decimal, rounding: str) -> str:
    """Six significant digits, without trailing zeros."""
    text = _rounded(x, _place(x, 6), rounding)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def _place(width: Decimal, digits: int) -> int:
    """Power of ten of the last of ``digits`` leading digits of ``width``."""
    return width.adjusted() - digits + 1 if width else -_DIGITS


def _rounded(x: Decimal, place: int, rounding: str) -> str:
    if abs(x) < Decimal(1).scaleb(place) and x:  # an end that is small is not zero
        place = _place(x, 2)
    shown = x.quantize(Decimal(1).scaleb(place), rounding, _EXACT)
    if not shown:
        return "0"
    exponent = shown.adjusted()
    if -4 <= exponent < 12 and place <= 0:
        return f"{shown:f}"
    if 0 <= exponent < 12:
        return f"{shown.to_integral_value():f}"
    digits = max(exponent - place, 0)
    return _tidy(f"{shown.scaleb(-exponent, _EXACT):.{digits}f}e{exponent:+03d}")


def _tidy(text: str) -> str:
    """Minus sign and exponent as they are; ``1.50e-09`` → ``1.5e-09``."""
    mantissa, e, exponent = text.partition("e")
    if e and "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return mantissa + e + exponent
