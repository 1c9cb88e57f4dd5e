"""The run that the fault tests put through programs: six tiles, and as little after them as there can be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml


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
