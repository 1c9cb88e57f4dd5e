"""Depth analysis against anchors and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from ntkdist.errors import InputError
from ntkdist.kernels import Kernel, Layer
from ntkdist.kernels.depth import correlation_fixed_point, depth_profile, with_depth

ANCHORS = {1: 0.471166, 2: 0.450493, 3: 0.434461, 5: 0.410482, 10: 0.373487, 20: 0.336471, 50: 0.297183}


def test_relu_ntk_at_sixty_degrees_flattens_to_one_quarter():
    profile = depth_profile(Kernel(1), tuple(ANCHORS), np.array([0.5, 1.0]))
    np.testing.assert_allclose(profile.ntk[:, 0], list(ANCHORS.values()), atol=1e-6)
    np.testing.assert_allclose(profile.ntk[:, 1], 1, rtol=1e-13)


def test_sign_has_a_profile_without_ntk():
    profile = depth_profile(Kernel(1, "sign"), (1,), np.array([0.5]))
    assert profile.nngp[0, 0] == pytest.approx(1 / 3)
    assert np.isnan(profile.ntk[0, 0])


def test_phases():
    assert correlation_fixed_point(Layer("relu"), steps=500).phase == "edge"
    ordered = correlation_fixed_point(Layer("erf", 0.8, 0.3))
    assert ordered.phase == "ordered"
    assert ordered.rho == pytest.approx(1, abs=1e-9)
    chaotic = correlation_fixed_point(Layer("erf", 3.0, 0.1))
    assert chaotic.phase == "chaotic"
    assert chaotic.rho < 0.5
    expected = 9 * 4 / np.pi / np.sqrt(1 + 4 * chaotic.q)
    assert chaotic.chi == pytest.approx(expected, rel=1e-10)
    assert correlation_fixed_point(Layer("relu", 1.0), steps=900).chi == pytest.approx(1.0)
    assert correlation_fixed_point(Layer("monomial(1)", 1.0), steps=9).phase == "edge"


def test_refusals():
    with pytest.raises(InputError, match="cosines"):
        depth_profile(Kernel(1), (1,), np.array([2.0]))
    frozen = Kernel(layers=[Layer(frozen=True)], first_frozen=True)
    with pytest.raises(InputError, match="zero"):
        depth_profile(frozen, (1,), np.array([0.5]))
    with pytest.raises(InputError, match="bound"):
        correlation_fixed_point(Layer("exp", 2.0))
    assert with_depth(Kernel(2), 5).depth == 5
