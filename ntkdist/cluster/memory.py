"""Memory a process may use: a Dask worker's limit, or what the machine has available."""

from __future__ import annotations

import psutil
from distributed import Client, get_worker

# Dask's nanny kills a worker at 97% of its limit; vectors, a tile being made and the interpreter need room beside
# the tiles that are held.
_HELD_SHARE, _HELD_AT_MOST = 0.6, 0.85
_AVAILABLE_SHARE, _AVAILABLE_AT_MOST = 0.5, 0.9


def worker_limit() -> int | None:
    """The memory limit of the Dask worker this runs in, bytes; None outside a worker or without a limit."""
    try:
        worker = get_worker()
    except ValueError:
        return None
    limit = getattr(worker.memory_manager, "memory_limit", None)
    return int(limit) if limit else None


def tiles_allowed(at_most: bool = False) -> int:
    """Bytes of tiles this process may hold between passes; ``at_most``: where the user insists."""
    limit, available = worker_limit(), psutil.virtual_memory().available
    if limit is None:
        return int((_AVAILABLE_AT_MOST if at_most else _AVAILABLE_SHARE) * available)
    return int(min((_HELD_AT_MOST if at_most else _HELD_SHARE) * limit, available))


def tiles_allowed_on(client: Client, at_most: bool = False) -> dict[str, int]:
    """The same for every worker of a client, by address."""
    found = client.run(tiles_allowed, at_most)
    return {str(address): int(count) for address, count in found.items()}
