import numpy as np
import pytest

from analysis.curve.fit import MAX_END_MISS, fit_curve
from analysis.curve.forms import FORMS
from analysis.curve.means import rho_means
from analysis.simulation.sweeps import TRUTHS, Noise
from tests.analysis.tables import EXACT, NINE, sweep

GRID = np.linspace(0.2, 1, 401)


def lowest(curve: np.ndarray) -> float:
    return float(GRID[curve.argmin()])


@pytest.mark.parametrize("truth", ["paper", "symmetric"])
def test_the_optimum_is_recovered_without_noise_where_a_parabola_is_biased(truth):
    means = rho_means(sweep(truth, noise=EXACT))
    true = float(TRUTHS[truth].read(0.2, 1, 0.001).optimum[0])
    assert lowest(fit_curve(means).chosen.curve) == pytest.approx(true, abs=0.01)
    a, b, _ = np.polyfit(means.rho, means.loss, 2)
    if truth == "paper":
        assert -b / 2 / a - true < -0.05  # the bias of a parabola


def test_a_form_that_the_noise_rules_out_takes_no_draws():
    assert len(fit_curve(rho_means(sweep(noise=Noise(run=0.004)))).in_play) == len(FORMS)
    sharp = sweep(noise=Noise(run=0.0002)).assign(
        validation_loss=lambda t: t["validation_loss"] + 0.004 * np.sin(9 * t["rho"])
    )
    curve = fit_curve(rho_means(sharp), "spline")
    assert "split_quadratic" not in [fit.form for fit in curve.in_play]
    assert curve.in_play[0].form == "spline"


def test_a_form_that_misses_an_end_takes_no_draws_however_loud_the_anchor_is():
    """A cliff at rho = 1 that a smoother takes for noise of the anchor."""
    out = 0
    for seed in range(4):
        table = sweep("flat", rho=NINE, noise=Noise(run=0.002, anchor=8), seed=seed)
        table.loc[table["rho"] == 1, "validation_loss"] += 0.03
        means = rho_means(table)
        curve = fit_curve(means, "two_power")
        for fit in curve.others:
            miss = np.abs(means.loss - fit.at_rho)[[0, -1]].max() / means.sigma * np.sqrt(3)
            assert fit not in curve.in_play or miss <= MAX_END_MISS
            out += miss > MAX_END_MISS
    assert out >= 1


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
