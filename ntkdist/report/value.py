"""Numbers printed with exactly the digits that their interval supports.

A value with lower ≤ value ≤ upper is written in the concise notation of the GUM (JCGM 100:2008, 7.2.2):
0.4107312(3) says 0.4107312 ± 0.0000003, and the printed range always contains the interval (the digit in
brackets is rounded up). Where the interval is too lopsided for one digit, both ends are written, rounded
outward. A number whose interval is wider than half of itself, or has no ends, is still shown, with a word that
says what is not known: nothing is hidden and no digit is printed that the arithmetic does not support.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal

from ntkdist.report.reading import number

_DIGITS = 15
"""No float64 quotient of several operations carries more."""
_LOPSIDED = 3
_EXACT = Context(prec=800)


def format_value(value: object, lower: object = None, upper: object = None) -> str:
    """The number as text, e.g. ``0.4107312(3)`` or ``0.41073 [0.41073, 0.41079]`` or ``≥ 2.1``."""
    v, lo, hi = number(value), number(lower), number(upper)
    if v is None:
        if lo is None and hi is None:
            return "unresolved"
        return f"unresolved, {format_ends(lo, hi)}"
    if lo is None and hi is None:
        return significant(v, 6)
    if lo is None or hi is None:
        return f"{significant(v, 6)}, {format_ends(lo, hi)}"
    if not lo <= v <= hi:
        return f"{significant(v, 6)}, outside {format_ends(lo, hi)}"
    if lo == hi:
        return significant(v, _DIGITS)
    return _concise(Decimal(v), Decimal(lo), Decimal(hi))


def format_ends(lower: object, upper: object) -> str:
    """The interval as ``[a, b]``, rounded outward to two digits of its width; ``≥ a``, ``≤ b`` if one end is open."""
    lo, hi = number(lower), number(upper)
    if lo is None and hi is None:
        return ""
    if hi is None:
        assert lo is not None
        return f"≥ {_rounded(Decimal(lo), _place(abs(Decimal(lo)), 6), ROUND_FLOOR)}"
    if lo is None:
        return f"≤ {_rounded(Decimal(hi), _place(abs(Decimal(hi)), 6), ROUND_CEILING)}"
    a, b = Decimal(lo), Decimal(hi)
    place = max(_place(abs(b - a), 2), _place(max(abs(a), abs(b)), _DIGITS + 1))
    return f"[{_rounded(a, place, ROUND_FLOOR)}, {_rounded(b, place, ROUND_CEILING)}]"


def significant(value: float, digits: int) -> str:
    """``value`` with at most ``digits`` significant digits, without trailing zeros."""
    if value == int(value) and abs(value) < 1e15 and len(str(abs(int(value)))) <= max(digits, 6):
        return f"{value:.0f}"
    return _tidy(f"{value:.{digits}g}")


def _concise(v: Decimal, lo: Decimal, hi: Decimal) -> str:
    down, up = _EXACT.subtract(v, lo), _EXACT.subtract(hi, v)
    half = max(down, up)
    if lo < 0 < hi or half > abs(v) / 2:
        return f"{significant(float(v), 2)}, unresolved in {format_ends(float(lo), float(hi))}"
    place = max(_place(half, 1), _place(abs(v), _DIGITS))
    if half > _LOPSIDED * min(down, up) and _place(half, 1) >= _place(abs(v), _DIGITS):
        shown = _rounded(v, _place(half, 2), ROUND_HALF_EVEN)
        return f"{shown} {format_ends(float(lo), float(hi))}"
    unit = Decimal(1).scaleb(place)
    middle = v.quantize(unit, ROUND_HALF_EVEN, _EXACT)
    reach = max(_EXACT.subtract(hi, middle), _EXACT.subtract(middle, lo))
    steps = int(_EXACT.divide(reach, unit).to_integral_value(ROUND_CEILING))
    if steps > 9:  # the digit overflowed by its own rounding: one place coarser
        place += 1
        unit = Decimal(1).scaleb(place)
        middle = v.quantize(unit, ROUND_HALF_EVEN, _EXACT)
        reach = max(_EXACT.subtract(hi, middle), _EXACT.subtract(middle, lo))
        steps = int(_EXACT.divide(reach, unit).to_integral_value(ROUND_CEILING))
    return _with_steps(middle, place, steps)


def _with_steps(middle: Decimal, place: int, steps: int) -> str:
    """``0.4107312(3)``; ``1.23(4)e-09`` where plain digits would be too long."""
    exponent = middle.adjusted()
    if -5 <= exponent < 12 and place <= 0:
        return f"{middle:f}({steps})"
    shown = middle.scaleb(-exponent, _EXACT)
    digits = max(exponent - place, 0)
    return f"{shown:.{digits}f}({steps})e{exponent:+03d}"


def _place(width: Decimal, digits: int) -> int:
    """Power of ten of the last of ``digits`` leading digits of ``width``."""
    return width.adjusted() - digits + 1 if width else -_DIGITS


def _rounded(x: Decimal, place: int, rounding: str) -> str:
    shown = x.quantize(Decimal(1).scaleb(place), rounding, _EXACT)
    if not shown:
        return "0"
    exponent = shown.adjusted()
    if -5 <= exponent < 12 and place <= 0:
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
