"""Bytes, seconds and counts in the units a person reads."""

from __future__ import annotations

from ntkdist.report.reading import number

_UNKNOWN = "not recorded"


def count(value: object) -> str:
    """A count with thousands separated: ``1,437``; a fraction keeps six digits."""
    n = number(value)
    if n is None:
        return _UNKNOWN
    return f"{n:,.0f}" if n == int(n) else f"{n:,.6g}"


def size(value: object) -> str:
    """Bytes in decimal units: ``16.5 MB``."""
    n = number(value)
    if n is None:
        return _UNKNOWN
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if abs(n) < 1000:
            return f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:,.4g} PB"


def duration(value: object) -> str:
    """Seconds as ``85 ms``, ``12.3 s``, ``4 min 10 s`` or ``3 h 20 min``."""
    s = number(value)
    if s is None:
        return _UNKNOWN
    if s < 1:
        return f"{1000 * s:.3g} ms"
    if s < 59.5:
        return f"{s:.3g} s"
    minutes, seconds = divmod(round(s), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    return f"{minutes // 60} h {minutes % 60} min"


def rate(value: object, of: str) -> str:
    """A rate with its SI prefix: ``640 M entries/s``."""
    n = number(value)
    if n is None:
        return _UNKNOWN
    for factor, prefix in ((1e12, "T "), (1e9, "G "), (1e6, "M "), (1e3, "k ")):
        if abs(n) >= factor:
            return f"{n / factor:.3g} {prefix}{of}/s"
    return f"{n:.3g} {of}/s"
