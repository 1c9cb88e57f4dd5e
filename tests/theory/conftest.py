"""Real kernel matrices with their dense decompositions: the truth the theory is compared with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from theory_problems import Problem, problem


@pytest.fixture(scope="session")
def digits() -> Problem:
    x, label = load_digits(return_X_y=True)
    x = x / np.linalg.norm(x, axis=1)[:, None]
    return problem(x[:700], np.eye(10)[label[:700]] - 0.1, 600)


@pytest.fixture(scope="session")
def concrete(shared_dir: Path) -> Problem:
    """Strength of concrete, standardised; 8 columns, equal rows with different targets: Θ is singular."""
    table = np.loadtxt(shared_dir / "data" / "uci_concrete.txt", skiprows=0)
    x, y = table[:, :-1], table[:, -1:]
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return problem(x[:600], (y[:600] - y.mean()) / y.std(), 500)
