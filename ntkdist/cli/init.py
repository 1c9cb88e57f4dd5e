"""``ntkdist init``: write a first configuration for one's own data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ntkdist.cli import options
from ntkdist.cli.console import out, plain, print_json
from ntkdist.errors import InputError

_TEMPLATE = """\
# One run of ntkdist. Every key but data.path has a default; `ntkdist schema` prints them all.
data:
  path: {path}          # .npz, .npy, .csv, Zarr, HDF5, Parquet, IDX, or sklearn:digits
  test_fraction: 0.2
  normalise: none       # none | standardise | unit
kernel:
  depth: 3              # activation layers of the network
  activation: relu
  sigma_w: 1.4142135623730951
  sigma_b: 0.0
spectrum: {{certificate: rigorous}}   # residual | probabilistic | rigorous
solve: {{ridge: 0.0, rtol: 1.0e-8}}
store: {store}
"""


def init(
    data: Annotated[str, typer.Argument(metavar="DATA", help="The dataset the run is about.")] = "sklearn:digits",
    output: Annotated[Path, typer.Option("--output", "-o", help="The configuration to write.")] = Path("ntk.yaml"),
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Write a run configuration with the defaults spelled out."""
    import yaml

    name = data.removeprefix("sklearn:")
    text = _TEMPLATE.format(
        path=yaml.safe_dump(data, default_style='"' if not data.replace(":", "").isalnum() else None).split("\n")[0],
        store=f"runs/{Path(name).stem or 'run'}.zarr",
    )
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise InputError(f"{output} exists already; choose another name with --output.") from None
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error.strerror}.") from None
    if json:
        print_json({"config": str(output)})
    else:
        out.print(plain(f"Wrote {output}; now: ntkdist run {output}"), markup=False, soft_wrap=True)
