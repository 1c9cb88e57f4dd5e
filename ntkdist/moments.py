"""Named moments of a run, so that a test can stop the program at one by name, never by sleeping.

``_checkpoint("tile.written", i, j)`` does nothing unless a hook is installed. A hook is installed in-process
with :func:`on_moment`, or for a subprocess through the environment: ``NTKDIST_KILL_AT="tile.written:3"``
makes the process kill itself with SIGKILL when the moment is reached for the third time;
``NTKDIST_INTERRUPT_AT``, ``NTKDIST_TERMINATE_AT``, ``NTKDIST_HANGUP_AT`` and ``NTKDIST_STOP_AT`` send SIGINT,
SIGTERM, SIGHUP and SIGSTOP instead.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Hook = Callable[..., None]
_hooks: list[Hook] = []
_seen: Counter[str] = Counter()


def _checkpoint(moment: str, *detail: object) -> None:
    """Announce that the run has reached ``moment``; a no-op unless hooked."""
    for hook in _hooks:
        hook(moment, *detail)


@contextmanager
def on_moment(hook: Hook) -> Iterator[None]:
    """Call ``hook(moment, *detail)`` at every moment inside the ``with`` block."""
    _hooks.append(hook)
    try:
        yield
    finally:
        _hooks.remove(hook)


def _signal_at(variable: str, signum: int) -> None:
    wanted = os.environ.get(variable)
    if not wanted:
        return
    name, _, count = wanted.partition(":")
    nth = int(count or 1)

    def hook(moment: str, *_: object) -> None:
        if moment == name:
            _seen[variable] += 1
            if _seen[variable] == nth:
                os.kill(os.getpid(), signum)

    _hooks.append(hook)


def hook_environment() -> None:
    """Install the hooks that the environment asks for; done when the program is imported."""
    for name, signum in _SIGNALS.items():
        _signal_at(f"NTKDIST_{name}_AT", signum)


_SIGNALS = {
    "KILL": signal.SIGKILL,
    "INTERRUPT": signal.SIGINT,
    "TERMINATE": signal.SIGTERM,
    "HANGUP": signal.SIGHUP,
    "STOP": signal.SIGSTOP,
}
hook_environment()
