"""Keep a cluster at its size: what is lost for good is started again.

Dask's nannies restart a worker that died, but one that took too long about it (15 s on a busy machine), or whose
restart failed, is dropped and nothing replaces it; a SLURM job that ended is not sent again either. Asking for the
size again makes Dask start what is missing, and does nothing where nothing is.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOG = logging.getLogger(__name__)
_EVERY = 5.0


@contextmanager
def kept_up(ask: Callable[[], object] | None, every: float = _EVERY) -> Iterator[None]:
    """Call ``ask`` every few seconds, in a thread, while the block runs; None asks for nothing."""
    if ask is None:
        yield
        return
    over = threading.Event()

    def keep() -> None:
        while not over.wait(every):
            try:
                ask()
            except Exception:  # noqa: BLE001 - the next time may find the cluster in a better state
                _LOG.warning("the cluster could not be asked for its size", exc_info=True)

    thread = threading.Thread(target=keep, name="ntkdist-upkeep", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
