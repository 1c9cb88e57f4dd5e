"""Typed errors: one sentence each, and the exit code the command line gives for it."""

from __future__ import annotations


class NtkdistError(Exception):
    """Base of all errors raised on purpose; ``exit_code`` is what the command line exits with."""

    exit_code = 70


class ChecksFailed(NtkdistError):
    """A verification ran to its end and found something wrong (exit code 1)."""

    exit_code = 1


class InputError(NtkdistError, ValueError):
    """Refused at the start: bad input, another identity's store, no room, read-only (exit code 2)."""

    exit_code = 2


class StoreLocked(NtkdistError):
    """Another process is writing to the run store (exit code 3)."""

    exit_code = 3


class OutOfSpace(NtkdistError, OSError):
    """The disk or the memory ran out while computing (exit code 4)."""

    exit_code = 4


class ClusterLost(NtkdistError):
    """The Dask scheduler or its workers went away (exit code 5)."""

    exit_code = 5


class Unresolvable(NtkdistError, ArithmeticError):
    """The arithmetic cannot resolve the requested number (exit code 6)."""

    exit_code = 6
