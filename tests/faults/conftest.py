"""Fixtures of the fault tests."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))

from forked import Zygote
from scenario import product_kernel  # noqa: F401


@pytest.fixture
def memory_dir(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one, so that a thousand flushes take no time."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="ntkdist-", dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    process = Zygote()
    yield process
    process.close()


@pytest.fixture
def small_run(tmp_path: Path) -> Path:
    return write_small_run(tmp_path)


def write_small_run(folder: Path) -> Path:
    """A dataset and a configuration of six tiles in ``folder``."""
    x = np.random.default_rng(2).standard_normal((33, 3))
    np.savez(folder / "d.npz", x=x, y=x[:, 0])
    tree = {
        "data": {"path": "d.npz", "test_fraction": 0.1},
        "kernel": {"depth": 1},
        "gram": {"tile": 10},
        "spectrum": {"certificate": "residual"},
        "solve": {"method": "cholesky"},
        # What stands after the solution is not at stake here: as little of it as there can be.
        "theory": {"two_layer": False, "sizes": [], "ensemble_rows": 0, "times": [1.0], "passes": 1},
        "predict": {"nngp": False, "variance_rows": 0},
        "store": "a.zarr",
    }
    (folder / "c.yaml").write_text(yaml.safe_dump(tree))
    return folder
