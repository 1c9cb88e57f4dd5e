"""The conventions of the literature, by the name of who wrote them.

``jacot`` (Jacot et al. 2018): Σ⁰ = x·x′/d + β², Σ ← F + β², β = 0.1.  ``nt`` (Lee et al.; neural-tangents):
the input layer has the σ's of the others, on x·x′/d.  ``arora`` (Arora et al. 2019): unit rows, σ_w² = 2, no
biases.  ``leoyu`` (the UCI study of Arora et al. 2020): x·x′, σ_w = 1, no biases.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType

from ntkdist.errors import InputError
from ntkdist.kernels.layer import Layer


@dataclass(frozen=True)
class Preset:
    """Defaults of one convention; ``input_like_others`` gives the input layer the first layer's σ's."""

    sigma_w: float
    sigma_b: float
    input_scaling: str
    input_like_others: bool = False
    bias_of_input: bool = False

    def first_sigma_w(self, layer: Layer) -> float:
        """Return σ_w of the input layer."""
        return layer.sigma_w if self.input_like_others else 1.0

    def first_bias(self, layer: Layer) -> float:
        """Return σ_b of the input layer."""
        return layer.sigma_b if self.input_like_others or self.bias_of_input else 0.0


PRESETS = MappingProxyType(
    {
        "default": Preset(2**0.5, 0.0, "none"),
        "jacot": Preset(1.0, 0.1, "1/d", bias_of_input=True),
        "nt": Preset(2**0.5, 0.0, "1/d", input_like_others=True),
        "arora": Preset(2**0.5, 0.0, "unit"),
        "leoyu": Preset(1.0, 0.0, "none"),
    }
)


def check_choice(name: str, value: str, choices: Iterable[str]) -> str:
    """Return ``value`` if it is one of ``choices``, else raise ``InputError`` with the nearest."""
    known = list(choices)
    if value not in known:
        near = difflib.get_close_matches(str(value), known, n=2, cutoff=0.3) or known
        raise InputError(f"{name} {value!r} is not known; did you mean {' or '.join(near)}?")
    return value
