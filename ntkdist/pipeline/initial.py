"""f(0), the network before training, on training and held-out rows: zero, given in a file, or a prior draw."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import InputError
from ntkdist.pipeline.second_kernel import second_gram
from ntkdist.pipeline.session import Session
from ntkdist.theory.prior_draw import prior_draw

Array = NDArray[Any]


@dataclass(frozen=True)
class Initial:
    """``train`` (n, k), ``test`` (m, k), and in words where they come from and how exact they are."""

    train: Array
    test: Array
    how: str


def initial_outputs(session: Session) -> Initial:
    """f(0) as ``theory.initial`` asks for it.

    Raises InputError for a file that is missing, holds objects, or has another shape or a value that is not finite.
    """
    settings = session.config.theory
    shape = session.targets.shape
    if settings.initial == "zero":
        return Initial(np.zeros(shape), np.zeros((session.n_test, shape[1])), "zero")
    if settings.initial == "given":
        assert settings.initial_path is not None
        return _given(session, settings.initial_path)
    draw = prior_draw(second_gram(session, session.kernel, "nngp", with_test=True), shape[1], settings.seed)
    how = f"a draw from the NNGP prior (seed {settings.seed}), relative error about {draw.error:.1e}"
    return Initial(draw.f0[: shape[0]], draw.f0[shape[0] :], how)


def initial_key(session: Session) -> str | None:
    """What a stage's key must know of a given f(0): the digest of the file."""
    path = session.config.theory.initial_path
    if path is None:
        return None
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"theory.initial_path {path} cannot be read: {error.strerror}.") from None


def _given(session: Session, path: str) -> Initial:
    try:
        f0 = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        raise InputError(f"theory.initial_path {path} is not an .npy array of numbers.") from None
    rows, k = session.identity.n + session.n_test, session.targets.shape[1]
    f0 = f0[:, None] if getattr(f0, "ndim", 0) == 1 else f0
    if not isinstance(f0, np.ndarray) or f0.shape != (rows, k) or f0.dtype.kind not in "fiu":
        raise InputError(
            f"theory.initial_path {path} must hold f(0) of shape ({rows}, {k}), one row per row of the dataset, "
            f"but holds {getattr(f0, 'shape', 'several arrays')}."
        )
    f0 = f0.astype(np.float64)
    if not np.isfinite(f0).all():
        raise InputError(f"theory.initial_path {path} has values that are not finite.")
    read = session.store.read_array
    return Initial(f0[read("inputs/train_rows")], f0[read("inputs/test_rows")], f"given in {Path(path).name}")
