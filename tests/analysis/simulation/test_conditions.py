import pytest

from analysis.simulation.conditions import curve_with


@pytest.mark.parametrize(("rho_star", "gain"), [(0.5, 0.02), (0.78, 0.0139), (0.9, 0.005)])
def test_the_moved_curve_has_its_optimum_and_gain_where_asked(rho_star, gain):
    read = curve_with(rho_star, gain).read(0.0, 1.0, 0.001)
    assert read.optimum[0] == pytest.approx(rho_star, abs=1e-3)
    assert read.gain[0] == pytest.approx(gain, abs=1e-6)
