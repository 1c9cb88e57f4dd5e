"""The results document: everything a run says, as plain JSON, from whatever stages are finished.

One document feeds the terminal table, ``--json``, the HTML report and the flow's artifacts, so that they cannot
disagree.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np

from ntkdist.kernels import TileKernel
from ntkdist.pipeline.session import Session
from ntkdist.store import Identity, RunStore
from ntkdist.tiling import Tiling

_SAMPLE = 160


def collect_results(store: RunStore, session: Session | None = None) -> dict[str, Any]:
    """Gather the results document of a store; sections of unfinished stages are absent."""
    results: dict[str, Any] = {"format": 1, "version": version("ntkdist"), "run": str(store.root), "complete": False}
    identity = store.identity
    inputs = store.stage("inputs")
    if inputs is not None:
        results["data"] = {k: v for k, v in inputs.result.items() if k != "normaliser"}
    if identity is None:
        return results
    results["identity"] = identity.digest
    results["kernel"] = {
        "description": store.group.attrs.get("kernel_description"),
        "which": identity.which,
        "fingerprint": identity.kernel,
        "spec": store.group.attrs.get("kernel"),
    }
    results["gram"] = gram_section(store, identity, session)
    for stage in ("spectrum", "solution", "theory", "predictions", "widths"):
        finished = store.stage(stage)
        if finished is not None:
            results[stage] = finished.result
    results["timings"] = store.group.attrs.get("timings", {})
    results["performance"] = store.group.attrs.get("performance", {})
    results["provenance"] = store.group.attrs.get("provenance", {})
    needed = ["spectrum", "solution", "theory"]
    if inputs is not None and inputs.result["n_test"]:
        needed.append("predictions")
    results["complete"] = all(stage in results for stage in needed)
    if session is not None:
        if session.kernel.is_zonal:
            results["kernel_function"] = _kernel_function(session.kernel)
        results["gram_sample"] = _gram_sample(session)
    return results


def gram_section(store: RunStore, identity: Identity, session: Session | None) -> dict[str, Any]:
    """What is known of the Gram matrix from its receipts."""
    tiling = Tiling(identity.n, identity.tile)
    receipts = store.tiles.receipts() if "receipts" in store.group else []
    seconds = sum(r.seconds for r in receipts)
    entries = sum(tiling.entries(r.i, r.j) for r in receipts)
    section: dict[str, Any] = {
        "n": identity.n,
        "tile": identity.tile,
        "tiles": tiling.count,
        "finished_tiles": len(receipts),
        "bytes": entries * np.dtype(identity.storage).itemsize,
        "compute": identity.compute,
        "storage": identity.storage,
        "tile_seconds": seconds,
        "entries_per_second": entries / seconds if seconds > 0 else None,
        "min": min((r.min for r in receipts), default=None),
        "max": max((r.max for r in receipts), default=None),
    }
    if session is not None:
        error = session.kernel.entry_error(np.dtype(identity.compute), which=identity.which)
        section |= {
            "mode": session.gram.mode,
            "mode_reason": session.gram.reason,
            "entry_error": error.relative,
            "error_norm": session.gram.error_norm,
        }
    return section


def _kernel_function(kernel: TileKernel) -> dict[str, Any]:
    """f(cos θ) of a zonal kernel on unit-norm rows, for the figure."""
    theta = np.linspace(0.0, np.pi, 181)
    x = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    return {
        "cos": [float(c) for c in np.cos(theta)],
        "ntk": [float(v) for v in kernel.tile(x, x[:1], which="ntk")[:, 0]] if kernel.has_ntk else None,
        "nngp": [float(v) for v in kernel.tile(x, x[:1], which="nngp")[:, 0]],
    }


def _gram_sample(session: Session) -> dict[str, Any]:
    """A sample of the Gram matrix for the heat map, rows sorted by target."""
    n = session.identity.n
    rows = np.sort(np.random.default_rng(0).choice(n, size=min(n, _SAMPLE), replace=False))
    y = session.targets[rows]
    label = y.argmax(axis=1) if y.shape[1] > 1 else y[:, 0]
    order = np.argsort(label, kind="stable")
    rows = rows[order]
    values = session.gram.operator.block(rows, rows)
    classes = session.store.stage("inputs")
    assert classes is not None
    names = classes.result["classes"]
    return {
        "order": "by class" if names else "by target",
        "labels": [names[int(v)] if names else float(v) for v in label[order]],
        "values": [[float(v) for v in row] for row in values],
    }
