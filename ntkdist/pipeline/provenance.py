"""Where, when and with what a run was made."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from ntkdist.cluster import cores

_PACKAGES = ("ntkdist", "numpy", "scipy", "numba", "dask", "distributed", "zarr")


def provenance(started: str, command: str) -> dict[str, Any]:
    """Host, versions, cores and times; no environment variables, so no secrets."""
    return {
        "host": platform.node(),
        "machine": platform.machine(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "cores": cores(),
        "versions": {name: version(name) for name in _PACKAGES},
        "started": started,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
    }
