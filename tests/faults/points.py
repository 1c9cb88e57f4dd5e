"""Failing at the k-th step a store takes on its disk: by an error, by dying, by losing power.

``MINIMUM`` is how many points each enumeration must reach; together at least a thousand in every run of the tests.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ntkdist.moments import on_moment

NIGHTLY = os.environ.get("NTKDIST_NIGHTLY") == "1"
# Every STRIDE-th step in an ordinary run, every step nightly; a life takes about 625 steps, 477 of them writes.
STRIDE = dict.fromkeys(("once", "for ever", "death", "recovery", "power"), 1)
if not NIGHTLY:
    STRIDE |= {"once": 3, "for ever": 3, "death": 2, "recovery": 6}
SEEDS = 40 if NIGHTLY else 1
MINIMUM = {"once": 190, "for ever": 190, "death": 220, "recovery": 90, "power": 440}
ERRORS = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EMFILE)
WRITES = ("disk.create", "disk.sync", "disk.rename", "disk.sync_folder", "disk.mkdir", "disk.unlink", "disk.rmdir")


class Steps:
    """Counts disk steps and acts at the k-th (from 1); ``reached`` says whether there was one."""

    def __init__(self, k: int, act: Callable[[], None], *, ever: bool = False, reads: bool = True) -> None:
        self.k, self.act, self.ever = k, act, ever
        self.count = 0
        self.reached = False
        self._kinds = (*WRITES, "disk.read") if reads else WRITES
        self._lock = threading.Lock()

    def __call__(self, moment: str, *_: object) -> None:
        if moment in self._kinds:
            with self._lock:
                self.count += 1
                hit = self.count == self.k or (self.ever and self.count > self.k)
            if hit:
                self.reached = True
                self.act()


@contextmanager
def failing(k: int, *, ever: bool, reads: bool = True) -> Iterator[Steps]:
    """The k-th step raises (and all after it, with ``ever``); the kind of error changes with k."""
    number = ERRORS[k % len(ERRORS)]

    def act() -> None:
        raise OSError(number, os.strerror(number))

    steps = Steps(k, act, ever=ever, reads=reads)
    with on_moment(steps):
        yield steps


def die_in_a_fork(run: Callable[[], None], k: int) -> bool:
    """Run in a fork that dies without a word before its k-th write; False if it completed before."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with on_moment(Steps(k, lambda: os._exit(137), reads=False)):
                run()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, 137), "the forked run failed on its own"
    return code == 137
