"""The JSON Schema of a run configuration, for editors and other tools."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from ntkdist.config.models import RunConfig


def json_schema() -> dict[str, Any]:
    """Return the schema computed from the models; the shipped copy must equal it."""
    schema = RunConfig.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def shipped_schema() -> dict[str, Any]:
    """Return the schema file shipped in the package (``ntkdist/config/schema.json``)."""
    text = resources.files("ntkdist.config").joinpath("schema.json").read_text(encoding="utf-8")
    result: dict[str, Any] = json.loads(text)
    return result
