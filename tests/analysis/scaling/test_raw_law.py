"""A planted law is recovered, and its parts are what the formula says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.scaling.raw_law import FAMILIES, Points, RawLaw, fit_raw_law

RHO = np.array([0.0, 0.25, 0.5, 0.75, 0.9, 1.0])
SIZES = np.array([-1.0, 0.0, 1.0, 2.0])
PLANTED = {
    "exponential": [0.4, -0.3, 0.8, 1.2, 1.6],
    "saturating power": [0.4, -0.3, 0.8, 1.2, 1.0, 1.6, 0.5],
    "offset power": [0.4, -0.3, 0.8, -1.5, 0.8, -2.0, 0.4],
}


def planted(name: str) -> RawLaw:
    family = next(one for one in FAMILIES if one.name == name)
    heights = np.array([1.1, 0.2, 0.03, 0.06])
    return RawLaw(family, np.array(PLANTED[name]), heights, 0.0, 0, None)


def points(law: RawLaw, noise: float, seed: int = 0) -> Points:
    size, rho = np.repeat(SIZES, len(RHO)), np.tile(RHO, len(SIZES))
    loss = law.curves(size, rho) + noise * np.random.default_rng(seed).standard_normal(len(rho))
    return Points(size, rho, loss, np.eye(len(rho)) / max(noise, 1e-6), 1000)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_law_is_recovered_without_noise(name):
    law = planted(name)
    found = fit_raw_law(law.family, points(law, 0.0))
    for size in (-1.0, 1.0, 3.0):  # the last one a doubling beyond
        true, ours = law.optimum_and_gain(size, 0.0), found.optimum_and_gain(size, 0.0)
        assert ours[0] == pytest.approx(true[0], abs=0.03)
        assert ours[1] == pytest.approx(true[1], rel=0.05)


@pytest.mark.parametrize("name", PLANTED)
def test_lack_of_fit_is_the_noise_of_the_spare_losses(name):
    law = planted(name)
    found = [fit_raw_law(law.family, points(law, 0.001, seed)) for seed in range(4)]
    assert np.mean([one.chi2 / one.spare for one in found]) == pytest.approx(1, abs=0.6)
    wave = points(law, 0.001)
    wave.loss[::2] += 0.006
    refuted = fit_raw_law(law.family, wave).p_fit
    assert refuted is not None
    assert refuted < 1e-3


@settings(max_examples=40, deadline=None)
@given(family=st.sampled_from(FAMILIES), data=st.data())
def test_every_side_falls_from_one_to_zero(family, data):
    at = np.array([data.draw(st.floats(low, high)) for low, high in family.bounds])
    side = family.side(np.linspace(0, 1, 51), at)
    assert side[0] == pytest.approx(1)
    assert side[-1] == pytest.approx(0, abs=1e-12)
    assert (np.diff(side) <= 1e-9).all()
