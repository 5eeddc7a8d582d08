"""The tables of one curve on the page."""

from analysis.report.curve_tables import arms, drift, readings
from analysis.sweep.sweep_analysis import analyse_sweep
from tests.analysis.tables import sweep, with_arms


def test_readings_and_arms_have_a_row_each():
    result = analyse_sweep(with_arms(sweep()))
    assert readings(result).count("break-even rho") == 1
    assert arms(result).count("<tr>") == 1 + len(result.arms)


def test_what_a_sweep_has_not_is_said_or_left_out():
    result = analyse_sweep(sweep())
    assert "None in this sweep" in arms(result)
    assert drift(result) is None
