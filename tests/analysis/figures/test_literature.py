import numpy as np
import pytest

from analysis.figures.literature import gains_over_rho
from analysis.literature import printed_gains
from analysis.sweep.sweep_analysis import analyse_sweep
from tests.analysis.tables import sweep


def test_every_printed_gain_is_marked_where_it_was_printed():
    [axes] = gains_over_rho(analyse_sweep(sweep()), "mine").axes
    marks = {
        (float(x), float(y))
        for line in axes.lines
        if line.get_marker() in ("o", "s")
        for x, y in np.column_stack(line.get_data())
    }
    assert marks == {(gain.rho, -gain.gain) for gain in printed_gains()}


def test_the_sweeps_own_curve_ends_at_nothing():
    [axes] = gains_over_rho(analyse_sweep(sweep()), "mine").axes
    [curve] = [line for line in axes.lines if line.get_label() == "mine (fit)"]
    x, y = (np.asarray(values, dtype=float) for values in curve.get_data())
    assert (x[-1], y[-1]) == (1, 0)
    assert y.min() == pytest.approx(-0.0139, abs=0.01)
