"""``ntkdist schema``: the JSON Schema of a configuration, for editors."""

from __future__ import annotations

from ntkdist.cli import options
from ntkdist.cli.console import print_json
from ntkdist.config import shipped_schema


def schema(json: options.Json = False, debug: options.Debug = False) -> None:
    """Print the JSON Schema of a run configuration."""
    print_json(shipped_schema())
