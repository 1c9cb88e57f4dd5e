"""Where the program writes: results on stdout, everything else on stderr; names from data are shown as they are."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def plain(text: str) -> str:
    """Text without control characters (a name from a dataset may hold escape sequences)."""
    return "".join(c if c.isprintable() or c in "\n" else "�" for c in text)


def print_json(document: Mapping[str, Any]) -> None:
    """One JSON document on stdout and nothing else; NaN is a bug."""
    sys.stdout.write(json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n")
