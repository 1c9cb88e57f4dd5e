"""What to do with a network before training it: initialisation, architecture, and whether pretraining helps.

Initialisation: the line χ₁ = 1 and the depth scale at the chosen (σ_w, σ_b).  Architecture: kernel–target alignment and
spectrum of each candidate's infinite-width kernel on the study's rows.  Transfer: the alignment of a saved network's
empirical NTK with these targets against that of new random weights.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from ntkdist.config import EmpiricalKernelConfig, RunConfig
from ntkdist.kernels import Kernel
from ntkdist.kernels.finite_width import Architecture, EmpiricalKernel
from ntkdist.pipeline.kernel import build_kernel
from ntkdist.theory.alignment import portrait
from ntkdist.theory.criticality import critical_line, depth_scale
from ntkdist.theory.width_measures import WidthProblem

RANDOM_SEEDS = (101, 102, 103)


def guidance(config: RunConfig, architecture: Architecture, problem: WidthProblem) -> dict[str, Any]:
    """The three sections as plain JSON."""
    line = critical_line(architecture.activation)
    scale = depth_scale(architecture.activation, architecture.sigma_w, architecture.sigma_b)
    return {
        "initialisation": {
            "activation": architecture.activation,
            "sigma_w": architecture.sigma_w,
            "sigma_b": architecture.sigma_b,
            "depth": architecture.depth,
            **asdict(scale),
            "line": {k: [v.item() for v in values] for k, values in asdict(line).items()},
        },
        "architectures": _compare(config, architecture, problem),
        "transfer": _transfer(config, problem),
    }


def _compare(config: RunConfig, architecture: Architecture, problem: WidthProblem) -> list[dict[str, Any]]:
    """The study's architecture first, then the candidates, best centred alignment first among them."""
    own = architecture.infinite()
    candidates: list[Any] = [build_kernel(c) for c in config.widths.compare] or _neighbours(architecture)
    rows = []
    for place, kernel in enumerate([own, *candidates]):
        found = portrait(np.asarray(kernel.tile(problem.x), np.float64), problem.y)
        rows.append({"kernel": str(kernel), "own": place == 0, **asdict(found)})
    return [rows[0], *sorted(rows[1:], key=lambda row: -row["alignment"]["centred"])]


def _neighbours(architecture: Architecture) -> list[Kernel]:
    """Other depths and activations beside the architecture, where nothing was listed."""
    of = architecture
    common: dict[str, Any] = {"input_scaling": of.input_scaling}
    depths = [d for d in (1, 2, 4, 8) if d != of.depth]
    same: list[Kernel] = [Kernel(d, of.activation, of.sigma_w, of.sigma_b, **common) for d in depths]
    others = [a for a in ("relu", "erf", "gelu") if a != of.activation]
    return same + [Kernel(of.depth, a, of.sigma_w, of.sigma_b, **common) for a in others]


def _transfer(config: RunConfig, problem: WidthProblem) -> dict[str, Any] | None:
    """Alignment of the checkpoint's kernel with these targets, and of random weights of the same network."""
    kernel = config.kernel
    if not isinstance(kernel, EmpiricalKernelConfig) or kernel.checkpoint is None:
        return None
    pretrained = build_kernel(kernel)
    if isinstance(pretrained, EmpiricalKernel):
        fresh: list[Any] = [
            EmpiricalKernel(pretrained.architecture, [seed], output=pretrained.output) for seed in RANDOM_SEEDS
        ]
    else:
        fresh = [
            build_kernel(kernel.model_copy(update={"checkpoint": None, "seeds": (seed,)})) for seed in RANDOM_SEEDS
        ]
    after, *before = (portrait(np.asarray(k.tile(problem.x), np.float64), problem.y) for k in (pretrained, *fresh))
    return {
        "pretrained": asdict(after),
        "random": [asdict(p) for p in before],
        "gain": after.alignment.centred - float(np.mean([p.alignment.centred for p in before])),
        "checkpoint": kernel.checkpoint,
    }
