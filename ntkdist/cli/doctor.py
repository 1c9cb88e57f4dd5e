"""``ntkdist doctor``: does this installation work, and what has this machine?"""

from __future__ import annotations

import importlib.util
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil
import typer
from rich.table import Table
from rich.text import Text

from ntkdist.cli import options
from ntkdist.cli.console import out, print_json

_NEEDED = (
    "numpy",
    "scipy",
    "numba",
    "dask",
    "distributed",
    "zarr",
    "prefect",
    "fastapi",
    "pydantic",
    "xarray",
)
_OPTIONAL = {
    "h5py": "hdf5",
    "pyarrow": "parquet",
    "cupy": "cuda12",
    "dask_cuda": "cuda12",
    "dask_jobqueue": "slurm",
}


def doctor(json: options.Json = False, debug: options.Debug = False) -> None:
    """Check the installation with a small computation; exit code 1 if something is wrong."""
    from ntkdist.cluster import cores

    checks: list[dict[str, Any]] = [*_versions(), *_known_traps(), _kernel_check()]
    document = {
        "cores": cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "extras": {name: importlib.util.find_spec(name) is not None for name in _OPTIONAL},
        "checks": checks,
        "ok": all(check["ok"] for check in checks),
    }
    if json:
        print_json(document)
    else:
        table = Table(show_header=False, box=None)
        table.add_row("machine", f"{document['cores']} cores, {psutil.virtual_memory().total / 1e9:.3g} GB memory")
        for check in checks:
            table.add_row(("ok" if check["ok"] else "WRONG"), Text(f"{check['name']}: {check['found']}"))
        missing = [f"{extra} ({name})" for name, extra in _OPTIONAL.items() if not importlib.util.find_spec(name)]
        table.add_row("extras", Text("not installed: " + ", ".join(missing) if missing else "all installed"))
        out.print(table)
    if not document["ok"]:
        raise typer.Exit(1)


def _versions() -> list[dict[str, Any]]:
    checks = []
    for name in _NEEDED:
        try:
            checks.append({"name": name, "found": version(name), "ok": True})
        except PackageNotFoundError:
            checks.append({"name": name, "found": "missing", "ok": False})
    return checks


def _known_traps() -> list[dict[str, Any]]:
    major, minor = (int(part) for part in version("fastapi").split(".")[:2])
    ok = (major, minor) < (0, 151)
    found = version("fastapi") + ("" if ok else ", with which Prefect's embedded server does not start: use < 0.151")
    return [{"name": "fastapi works with prefect", "found": found, "ok": ok}]


def _kernel_check() -> dict[str, Any]:
    """The He ReLU NTK has diagonal (L+1)‖x‖²."""
    import numpy as np

    from ntkdist.kernels import Kernel

    x = np.array([[3.0, 4.0], [1.0, 0.0]])
    error = float(np.max(np.abs(np.diag(Kernel(depth=3).tile(x, x)) / (4 * np.array([25.0, 1.0])) - 1)))
    return {
        "name": "NTK diagonal equals (L+1)|x|^2",
        "found": f"relative error {error:.1e}",
        "ok": error < 1e-13,
    }
