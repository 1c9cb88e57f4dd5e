"""Attributes that notice when they were changed: a CRC-32C over their canonical JSON travels with them.

Zarr keeps attributes as text in ``zarr.json``, where a flipped bit can turn one digit into another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import google_crc32c

KEY = "check"


def signed(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes with their checksum; NaN is refused, because JSON has none."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(attributes), allow_nan=False))
    plain.pop(KEY, None)
    return {**plain, KEY: _crc(plain)}


def intact(attributes: Mapping[str, Any]) -> bool:
    """Whether attributes are those that were signed."""
    body = {k: v for k, v in attributes.items() if k != KEY}
    return attributes.get(KEY) == _crc(body)


def _crc(body: Mapping[str, Any]) -> int:
    return int(google_crc32c.value(json.dumps(body, sort_keys=True).encode()))
