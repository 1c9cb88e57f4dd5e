"""Fixtures of the report's tests."""

from __future__ import annotations

from typing import Any

import pytest
from run_document import document


@pytest.fixture
def results() -> dict[str, Any]:
    """The results document of a finished run."""
    return document()
