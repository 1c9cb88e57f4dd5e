"""The layers of a convolutional network, cut into stages by its poolings, and what each stage must compute.

A 2×2 average pooling mixes displacements: the coarse displacement D of pooled positions is made of the fine ones
2D + {−1, 0, 1}².  So a stage ends at a pooling, and the displacements a stage needs follow from the last one's:
δ = 0 alone for flatten, all of them for global average pooling.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from ntkdist.errors import InputError

Shift = tuple[int, int]
# Operations of one layer at one pair of positions beyond two a coefficient (box sums, root, products).
_OTHER_OPERATIONS = 30


@dataclass(frozen=True)
class Preset:
    """Layers and the layers after which a 2×2 average pooling stands, with the readout."""

    depth: int
    pool_after: tuple[int, ...]
    readout: str


# Shankar et al. 2020, "Neural kernels without tangents": poolings at the end amount to the mean over all positions.
PRESETS = MappingProxyType(
    {
        "myrtle5": Preset(4, (2, 3), "gap"),
        "myrtle7": Preset(6, (2, 4), "gap"),
        "myrtle10": Preset(9, (3, 6), "gap"),
    }
)


@dataclass(frozen=True)
class Stage:
    """Layers first…first + depth − 1 on images (h, w), the displacements needed, and whether a pooling follows."""

    first: int
    depth: int
    height: int
    width: int
    shifts: tuple[Shift, ...]
    pooled: bool

    @property
    def positions(self) -> int:
        """Pairs of positions of one layer, over all displacements needed."""
        return sum((self.height - abs(dy)) * (self.width - abs(dx)) for dy, dx in self.shifts)


@lru_cache(maxsize=64)
def stages(depth: int, pool_after: tuple[int, ...], readout: str, height: int, width: int) -> tuple[Stage, ...]:
    """Cut ``depth`` layers on images (height, width) into stages.

    Raises ``InputError`` where an image of odd height or width would be pooled.
    """
    ends = [*pool_after, depth]
    sizes = []
    for number, _ in enumerate(ends):
        if number and (height % 2 or width % 2):
            raise InputError(
                f"images of {height} × {width} pixels cannot be pooled by 2 × 2 after layer {ends[number - 1]}; "
                "crop or pad the images, or pool less often"
            )
        if number:
            height, width = height // 2, width // 2
        sizes.append((height, width))
    if readout == "gap":
        needed = {(dy, dx) for dy in range(1 - height, height) for dx in range(1 - width, width)}
    else:
        needed = {(0, 0)}
    found: list[Stage] = []
    for number in range(len(ends) - 1, -1, -1):
        first = ends[number - 1] if number else 0
        pooled = number < len(ends) - 1
        found.insert(0, Stage(first, ends[number] - first, *sizes[number], tuple(sorted(needed)), pooled))
        if number:
            tall, wide = sizes[number - 1]
            needed = {
                (2 * dy + a, 2 * dx + b)
                for dy, dx in needed
                for a in (-1, 0, 1)
                for b in (-1, 0, 1)
                if abs(2 * dy + a) < tall and abs(2 * dx + b) < wide
            }
    return tuple(found)


def pair_positions(parts: tuple[Stage, ...]) -> int:
    """Return the evaluations of a layer at a pair of positions that one pair of images takes."""
    return sum(stage.depth * stage.positions for stage in parts)


def pair_work(parts: tuple[Stage, ...], channels: int, coefficients: int) -> float:
    """Return the floating-point operations of one pair of images."""
    return float(pair_positions(parts) * (2 * coefficients + _OTHER_OPERATIONS) + 2 * channels * parts[0].positions)
