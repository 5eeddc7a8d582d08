"""Many fits at once, against one search at a time."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from analysis.scaling.raw_law import FAMILIES, fit_raw_law
from analysis.scaling.refit_law import MAX_DATA_SETS, _non_negative, refit_law
from tests.analysis.scaling.test_raw_law import PLANTED, planted, points


@pytest.mark.parametrize("name", PLANTED)
def test_every_draw_is_fitted_as_well_as_by_a_search_of_its_own(name):
    law, noise = planted(name), 0.001
    at = points(law, noise)
    centre = fit_raw_law(law.family, at)
    errors = noise * np.random.default_rng(1).standard_normal((len(at.loss), 6))
    together = refit_law(centre, at, at.loss[:, None] + errors)
    alone = [fit_raw_law(law.family, replace(at, loss=at.loss + one)) for one in errors.T]
    # A search from several starts may find a lower minimum far away, which few draws have.
    excess = np.array([ours.chi2 - one.chi2 for ours, one in zip(together, alone, strict=True)])
    assert np.median(excess) < 0.05
    assert np.mean(excess) < 0.5
    for one in together:
        residual = at.whiten @ (one.curves(at.size, at.rho) - at.loss)
        assert np.all(one.heights >= 0)
        assert np.isfinite(residual).all()


def test_without_noise_the_law_itself_comes_back_in_any_number_of_data_sets():
    law = planted("exponential")
    at = points(law, 0.0)
    many = refit_law(law, at, np.repeat(at.loss[:, None], MAX_DATA_SETS + 3, axis=1))
    assert len(many) == MAX_DATA_SETS + 3
    assert max(one.chi2 for one in many) < 1e-6
    assert many[-1].optimum_and_gain(1.0, 0.0) == pytest.approx(law.optimum_and_gain(1.0, 0.0))


def test_chi2_is_that_of_the_law_that_is_returned():
    law = planted("offset power")
    at = points(law, 0.002)
    losses = at.loss[:, None] + np.array([0.0, 0.004]) * (at.rho == 1)[:, None]
    for one, loss in zip(refit_law(law, at, losses), losses.T, strict=True):
        residual = at.whiten @ (one.curves(at.size, at.rho) - loss)
        assert one.chi2 == pytest.approx(residual @ residual, rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_heights_are_the_non_negative_least_squares(seed):
    rng = np.random.default_rng(seed)
    columns, y = rng.standard_normal((7, 4)), rng.standard_normal(7)
    columns[:, 0] = 1.0
    y += 5.0  # a floor that is above zero, as losses are
    columns /= np.linalg.norm(columns, axis=0)
    ours = _non_negative((columns.T @ columns)[None], (columns.T @ y)[None])[0]
    assert columns @ ours == pytest.approx(columns @ optimize.nnls(columns, y)[0], abs=1e-6)


def test_families_are_those_of_the_laws():
    assert set(PLANTED) == {family.name for family in FAMILIES}
