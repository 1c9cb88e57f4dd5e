"""One BLAS thread while tiles are computed and while iterations run, in one place for the whole process.

OpenBLAS splits a product by its thread count, and the pieces round differently: the same tile would get other
bits on another machine.  So tiles are shared out by row panels instead, and BLAS is held at one thread while
anybody needs it so.  The setting is global: holders are counted, and the last one gives back what was set before
the first (limits of their own, set and restored by several threads, would leave BLAS at one thread for good, and
a factorization after them with other bits).

threadpoolctl lets only one thread set OpenBLAS and ignores all others in silence. Here any thread may: the lock is
ours, so ownership is taken by force before a number is set and given up after it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import ThreadpoolController


class _Held:
    """How many tiles hold BLAS at one thread, and what to restore."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0
        self.libraries: list[Any] = []
        self.before: list[int] = []


_HELD = _Held()


def factorization_threads(n: int) -> int:
    """Return the BLAS threads that factorize n rows: one while that costs no time, so that small results have the
    same bits on any machine, else all of this process's cores.
    """
    return (
        1 if n < 1000 else (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    )


@contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """Hold BLAS at ``count`` threads, whatever was set before; for the thread that drives a computation."""
    with _HELD.lock:
        libraries, before = _set_all(_libraries(), count)
    try:
        yield
    finally:
        with _HELD.lock:
            _restore(libraries, before)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS at one thread; safe to enter from several threads at once."""
    with _HELD.lock:
        if _HELD.count == 0:
            _HELD.libraries, _HELD.before = _set_all(_HELD.libraries or _libraries(), 1)
        _HELD.count += 1
    try:
        yield
    finally:
        with _HELD.lock:
            _HELD.count -= 1
            if _HELD.count == 0:
                _restore(_HELD.libraries, _HELD.before)


def _libraries() -> list[Any]:
    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


def _set_all(libraries: list[Any], count: int) -> tuple[list[Any], list[int]]:
    before = [library.get_num_threads() for library in libraries]
    _restore(libraries, [count] * len(libraries))
    return libraries, before


def _restore(libraries: list[Any], counts: list[int]) -> None:
    for library, count in zip(libraries, counts, strict=True):
        release = getattr(library, "clear_controlling_thread", lambda force: None)
        release(force=True)
        library.set_num_threads(count)
        release(force=True)
