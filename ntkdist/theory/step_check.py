"""Is 2/λ_max the largest stable step of this network?  Train below and above it, and see.

For the linearised network the part of the residual along the top eigenvector is multiplied by |1 − ηλ_max| a step:
under it at η = 0.9·2/λ_max, which is a factor 0.8, and above it at 1.1·2/λ_max, a factor 1.2, so that the loss grows
by 1.44 a step in the end.  At 2 < ηλ_max < 4 a network of finite width does not stay there: when its loss has grown to
about the order of its width the curvature falls and training settles (the catapult of Lewkowycz et al. 2020).  So the
targets are scaled down to a twentieth, which leaves 2/λ_max as it is and gives the growth a factor 400 of room.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ntkdist.kernels.finite_width.descent import train
from ntkdist.kernels.finite_width.network import Architecture
from ntkdist.kernels.finite_width.structured import features, structured_ntk

Floats = NDArray[np.float64]
DIVERGED = 100.0
TARGET_SCALE = 0.05


@dataclass(frozen=True)
class StepCheck:
    """Training at ``factor``·2/λ_max: ``verdict`` is converges, diverges or undecided.

    It *converges* when the loss never exceeds its start and ends lower; it *diverges* when the loss rises above 100
    times its start.  ``growth`` is the loss's factor per step over the last steps, ``predicted`` (2·factor − 1)²
    where that is above one.
    """

    factor: float
    step: float
    steps: int
    loss_ratio: float
    largest_ratio: float
    growth: float
    predicted: float | None
    verdict: str


def check_step(
    architecture: Architecture, seed: int, x: Floats, y: Floats, factor: float, steps: int = 120
) -> StepCheck:
    """Train at ``factor`` times 2/λ_max of the network's own kernel over all outputs, for at most ``steps`` steps."""
    network = architecture.draw(x.shape[1], seed)
    rows = features(network, x)
    n, k = rows.f.shape
    theta = structured_ntk(network, rows, rows, "full")
    top = float(np.linalg.eigvalsh(theta.transpose(0, 2, 1, 3).reshape(n * k, n * k))[-1])
    step = factor * 2 / top
    descent = train(network, x, TARGET_SCALE * y + rows.f, step, steps, bound=DIVERGED)
    ratios = descent.losses / descent.losses[0]
    ratios = ratios[np.isfinite(ratios)]
    last = ratios[-min(6, len(ratios)) :]
    growth = float((last[-1] / last[0]) ** (1 / max(1, len(last) - 1)))
    if descent.stopped == "diverged":
        verdict = "diverges"
    else:
        verdict = "converges" if ratios.max() <= 1.0 and ratios[-1] < 1.0 else "undecided"
    rate = (2 * factor - 1) ** 2
    return StepCheck(
        factor, step, descent.steps, float(ratios[-1]), float(ratios.max()), growth, rate if rate > 1 else None, verdict
    )
