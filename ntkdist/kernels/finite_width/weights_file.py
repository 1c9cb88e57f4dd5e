"""Weights of a network on disk: an ``.npz`` without pickles, and the digest by which a kernel refers to it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkdist.errors import InputError
from ntkdist.kernels.finite_width.network import Architecture, Network


def save_network(network: Network, path: str | Path) -> Path:
    """Write architecture and parameters to ``path`` (an ``.npz``), whole or not at all; returns the path."""
    target = Path(path)
    arrays: dict[str, NDArray[Any]] = {f"w{l}": np.asarray(w) for l, w in enumerate(network.weights, 1)}
    arrays |= {f"b{l}": np.asarray(b) for l, b in enumerate(network.biases, 1) if b is not None}
    text = json.dumps(network.architecture.spec(), sort_keys=True)
    buffer = io.BytesIO()
    np.savez(buffer, architecture=np.array(text), **arrays)  # type: ignore[arg-type]
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        partial.write_bytes(buffer.getvalue())
        os.replace(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return target


def load_network(path: str | Path, allow_import: bool = True) -> Network:
    """Read a network that ``save_network`` wrote.

    Raises ``InputError`` for a missing file, a damaged one, or parameters that do not fit the architecture.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            architecture = Architecture.from_spec(json.loads(str(file["architecture"])), allow_import)
            layers = range(1, architecture.depth + 2)
            weights = tuple(file[f"w{l}"] for l in layers)
            biases = tuple(file.get(f"b{l}") for l in layers)
    except InputError:
        raise
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"checkpoint {path} is not a network saved by ntkdist: {error}") from error
    network = Network(architecture, weights, biases)
    for l in layers:
        rows, bias = architecture.shape(l, network.features)[0], biases[l - 1]
        fits = weights[l - 1].shape == architecture.shape(l, network.features)
        has_bias = architecture.bias_factor(l) != 0
        if not fits or (bias is not None) != has_bias or (bias is not None and bias.shape != (rows,)):
            raise InputError(f"checkpoint {path}: the parameters of layer {l} do not fit its architecture")
        if not (np.all(np.isfinite(weights[l - 1])) and (bias is None or np.all(np.isfinite(bias)))):
            raise InputError(f"checkpoint {path}: layer {l} has parameters that are not finite")
    return network


def weights_digest(network: Network) -> str:
    """SHA-256 (hex) of architecture and parameters, whatever file they came from."""
    digest = hashlib.sha256(json.dumps(network.architecture.spec(), sort_keys=True).encode())
    for array in (*network.weights, *network.biases):
        if array is not None:
            digest.update(str((array.shape, str(array.dtype))).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
