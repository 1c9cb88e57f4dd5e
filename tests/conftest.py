"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# Tests never assert times, and the first example often pays for a compilation.
settings.register_profile("default-without-deadline", deadline=None)
settings.load_profile("default-without-deadline")


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of real data and oracle values beside the checkout; tests that need it skip without it."""
    path = Path(__file__).resolve().parents[2] / "shared"
    if not path.is_dir():
        pytest.skip("the data folder ../shared is not beside this checkout")
    return path
