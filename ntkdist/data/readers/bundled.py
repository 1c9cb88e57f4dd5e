"""The small datasets that come with scikit-learn: ``sklearn:digits`` and its like."""

from __future__ import annotations

import difflib

import numpy as np
from sklearn import datasets

from ntkdist.data.source import ArraySource, Source
from ntkdist.errors import InputError

BUNDLED = ("digits", "iris", "wine", "breast_cancer", "diabetes")


def open_bundled(path: str) -> Source:
    """Open ``sklearn:NAME``."""
    name = path.removeprefix("sklearn:")
    if name not in BUNDLED:
        near = difflib.get_close_matches(name, BUNDLED, n=1)
        hint = f"did you mean sklearn:{near[0]}?" if near else f"there are {', '.join(BUNDLED)}."
        raise InputError(f"There is no bundled dataset {path}; {hint}")
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return ArraySource(path, np.asarray(x, dtype=np.float64), np.asarray(y))
