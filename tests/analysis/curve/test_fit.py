import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.curve.fit import fit_curve
from analysis.curve.forms import FORMS
from analysis.curve.forms.double_power_law import DoublePowerLaw, shape
from analysis.curve.forms.local_quadratic import local_quadratic
from analysis.curve.forms.spline import spline
from analysis.curve.forms.split_quadratic import SplitQuadratic
from analysis.curve.means import rho_means
from analysis.simulation.sweeps import TRUTHS, Noise
from tests.analysis.tables import EXACT, NINE, sweep

GRID = np.linspace(0.2, 1, 401)


def lowest(curve: np.ndarray) -> float:
    return float(GRID[curve.argmin()])


@settings(max_examples=60, deadline=None)
@given(tail=st.floats(-0.5, 5), steepness=st.floats(0.3, 100))
def test_a_side_falls_from_one_to_zero_with_diminishing_returns(tail, steepness):
    x = np.linspace(0, 1, 101)
    side = shape(x, tail, steepness)
    assert side[0] == pytest.approx(1)
    assert side[-1] == pytest.approx(0)
    assert (np.diff(side) <= 1e-12).all()
    assert (np.diff(side, 2) >= -1e-9).all()


def test_parameters_are_recovered_without_noise():
    s, t, coefficients = (1.0, 4.0), (0.3, 8.0), (1.7, 0.05, 0.03)
    rho = np.linspace(0, 1, 13)
    losses = (
        coefficients[0] + coefficients[1] * shape(rho, *s) + coefficients[2] * shape(1 - rho, *t)
    )
    found = DoublePowerLaw(rho, np.eye(13)).refine(losses, rho)
    assert found.converged
    assert found.rss < 1e-12
    np.testing.assert_allclose(found.coefficients, coefficients, rtol=0.05)
    np.testing.assert_allclose(found.shapes, (s, t), rtol=0.25)


@pytest.mark.parametrize("truth", ["paper", "symmetric"])
def test_the_optimum_is_recovered_without_noise_where_a_parabola_is_biased(truth):
    means = rho_means(sweep(truth, noise=EXACT))
    true = float(TRUTHS[truth].read(0.2, 1, 0.001).optimum[0])
    assert lowest(fit_curve(means).chosen.curve) == pytest.approx(true, abs=0.01)
    a, b, _ = np.polyfit(means.rho, means.loss, 2)
    if truth == "paper":
        assert -b / 2 / a - true < -0.05  # the bias that reference/anchors.md, section C, warns of


def test_the_optimum_is_unbiased_on_the_papers_curve():
    """Bias of rho* under 0.01 at the noise of a real sweep, over one batch of simulated means."""
    rng = np.random.default_rng(1)
    means = TRUTHS["paper"].loss(NINE)[:, None] + 0.002 / np.sqrt(3) * rng.standard_normal(
        (9, 4000)
    )
    curves = DoublePowerLaw(NINE, np.eye(9) / 3).curves(means, GRID)
    optima = GRID[curves.argmin(axis=0)]
    assert abs(optima.mean() - 0.78) < 0.01
    assert optima.std() < 0.05


def test_many_data_sets_fit_between_the_plain_grid_and_the_local_optimiser():
    """The batched search against every pair of shapes with scipy's nnls, and against scipy's optimiser from there."""
    from scipy.optimize import nnls

    from analysis.curve.forms.double_power_law import STEEPNESS, TAILS

    rng = np.random.default_rng(2)
    rho = np.array([0.0, 0.3, 0.5, 0.8, 1.0])
    losses = 1.7 + 0.02 * rng.standard_normal((5, 2))
    model = DoublePowerLaw(rho, np.eye(5))
    fitted = model.curves(losses, rho)
    shapes = [(tail, steepness) for tail in TAILS for steepness in STEEPNESS]
    for column in range(2):
        centred = losses[:, column] - losses[:, column].mean()
        best = np.inf
        for s in shapes:
            for t in shapes:
                sides = np.stack([shape(rho, *s), shape(1 - rho, *t)], axis=1)
                best = min(best, nnls(sides - sides.mean(axis=0), centred)[1] ** 2)
        rss = ((fitted[:, column] - losses[:, column]) ** 2).sum()
        assert model.refine(losses[:, column], rho).rss * (1 - 1e-6) <= rss <= best * (1 + 1e-6)


def test_weights_count():
    """A point known badly must pull less."""
    losses = TRUTHS["paper"].loss(NINE)
    losses[6] += 0.02
    cov = np.eye(9)
    cov[6, 6] = 1e6
    ignoring = DoublePowerLaw(NINE, cov).curves(losses[:, None], GRID)[:, 0]
    assert lowest(ignoring) == pytest.approx(0.78, abs=0.01)


def test_two_half_parabolas_are_recovered_where_smooth_forms_are_biased():
    """The optimum of a bend three times as sharp on one side, between measured points; noise-free and in the mean."""
    truth = TRUTHS["two_parabolas"].loss(NINE)[:, None]
    assert lowest(SplitQuadratic(NINE, np.eye(9)).curves(truth, GRID)[:, 0]) == pytest.approx(
        0.78, abs=0.003
    )
    noise = 0.001 * np.random.default_rng(4).standard_normal((9, 300))
    optima = [
        GRID[form(NINE, np.eye(9)).curves(truth + noise, GRID).argmin(axis=0)]
        for form in (SplitQuadratic, DoublePowerLaw)
    ]
    assert abs(optima[0].mean() - 0.78) < 0.006 < 0.78 - optima[1].mean()


def test_half_parabolas_without_a_turn_are_monotone():
    falling = SplitQuadratic(NINE, np.eye(9)).curves((2 - NINE**2)[:, None], GRID)[:, 0]
    assert (np.diff(falling) <= 1e-12).all()


def test_a_form_that_the_noise_rules_out_takes_no_draws():
    assert len(fit_curve(rho_means(sweep(noise=Noise(run=0.004)))).in_play) == len(FORMS)
    sharp = sweep(noise=Noise(run=0.0002)).assign(
        validation_loss=lambda t: t["validation_loss"] + 0.004 * np.sin(9 * t["rho"])
    )
    curve = fit_curve(rho_means(sharp), "spline")
    assert "split_quadratic" not in [fit.form for fit in curve.in_play]
    assert curve.in_play[0].form == "spline"


def test_every_form_in_play_refits_an_equal_share():
    curve = fit_curve(rho_means(sweep()))
    losses = TRUTHS["paper"].loss(NINE)[:, None] + 0.001 * np.random.default_rng(3).standard_normal(
        (9, 10)
    )
    curves = curve.refit(losses)
    for turn, fit in enumerate(curve.in_play):
        np.testing.assert_allclose(
            curves[:, turn :: len(curve.in_play)],
            fit.curves_of(losses)[:, turn :: len(curve.in_play)],
            atol=1e-6,
        )


@pytest.mark.parametrize("operator", [local_quadratic, spline])
def test_smoothers_keep_straight_lines(operator):
    for weights in operator(NINE, GRID, np.ones(9), [0.5, 0.01]):
        np.testing.assert_allclose(weights @ (2 - 0.3 * NINE), 2 - 0.3 * GRID, atol=1e-8)


def test_the_spline_is_scipys():
    from scipy.interpolate import make_smoothing_spline

    x = (NINE - 0.2) / 0.8
    losses = TRUTHS["paper"].loss(NINE) + 0.002 * np.sin(40 * NINE)
    mine = spline(NINE, GRID, np.ones(9), [1e-3])[0] @ losses
    np.testing.assert_allclose(
        mine, make_smoothing_spline(x, losses, lam=9e-3)((GRID - 0.2) / 0.8), atol=1e-8
    )


def test_cross_validation_gives_way_to_a_form_that_fits_far_better():
    wave = rho_means(sweep(noise=Noise(run=0.0005)))
    assert fit_curve(wave).chosen.form == "two_power"
    hump = rho_means(
        sweep("paper", noise=EXACT).assign(validation_loss=lambda t: np.sin(4 * t["rho"]))
    )
    assert fit_curve(hump).chosen.form != "two_power"


def test_forms_can_be_asked_for_and_are_checked():
    means = rho_means(sweep())
    for form in FORMS:
        assert fit_curve(means, form).chosen.form == form
    with pytest.raises(ValueError, match="form must be one of"):
        fit_curve(means, "parabola")
