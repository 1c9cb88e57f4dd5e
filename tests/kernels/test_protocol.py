"""Every kernel type meets the protocol of the pipeline, and a specification finds its type again."""

from __future__ import annotations

import pytest

from ntkdist.errors import InputError
from ntkdist.kernels import Kernel, TileKernel, kernel_from_spec


def test_a_dense_kernel_is_a_tile_kernel_and_comes_back_from_its_specification() -> None:
    kernel = Kernel(depth=2, activation="erf", sigma_b=0.1)
    assert isinstance(kernel, TileKernel)
    assert kernel.for_inputs((4, 4, 3)) is kernel
    assert kernel_from_spec(kernel.spec()).fingerprint == kernel.fingerprint


def test_a_specification_of_an_unknown_type_is_refused_in_words() -> None:
    with pytest.raises(InputError, match="kernel of type 'quantum', which this version of ntkdist does not know"):
        kernel_from_spec({"type": "quantum"})
