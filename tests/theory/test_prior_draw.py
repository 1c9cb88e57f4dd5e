from __future__ import annotations

import numpy as np
import pytest
from theory_problems import Problem

from ntkdist.errors import InputError
from ntkdist.theory.prior_draw import prior_draw


def test_a_draw_is_the_square_root_times_its_noise(digits: Problem) -> None:
    draw = prior_draw(digits, 3, seed=7, rtol=1e-9)
    noise = np.random.default_rng(7).standard_normal((600, 3))
    root = (digits.vectors * np.sqrt(digits.eigenvalues)) @ digits.vectors.T
    np.testing.assert_allclose(draw.f0, root @ noise, atol=1e-5 * np.abs(draw.f0).max())
    assert draw.error <= 1e-6


def test_draws_have_the_priors_covariance(digits: Problem) -> None:
    f0 = prior_draw(digits, 4000, seed=1).f0[:5]
    np.testing.assert_allclose(f0 @ f0.T / 4000, digits.theta[:5, :5], atol=0.04)


def test_a_singular_prior_is_drawn_without_nan(concrete: Problem) -> None:
    f0 = prior_draw(concrete, 2, seed=0).f0
    assert np.isfinite(f0).all()
    with pytest.raises(InputError):
        prior_draw(concrete, 0)
