"""Curves of several conditions on one panel."""

import numpy as np
import pytest

from analysis.figures.losses_by_condition import losses_by_condition
from analysis.figures.style import render
from tests.analysis.scaling.conftest import quick, table


def test_each_condition_is_a_curve_that_ends_at_nothing_and_a_row():
    joint = quick(table())
    figure = losses_by_condition(joint, "three budgets")
    above, below = figure.axes
    curves = [line for line in above.lines if line.get_label() in joint.labels]
    assert [line.get_label() for line in curves] == list(joint.labels)
    for line, one in zip(curves, joint.sweeps, strict=True):
        x, y = (np.asarray(values, dtype=float) for values in line.get_data())
        assert (x[-1], y[-1]) == (1, 0)
        assert y.min() == pytest.approx(-(one.gain_over_moe.value or 0), abs=1e-9)
    assert [tick.get_text() for tick in below.get_yticklabels()] == list(joint.labels)


def test_every_mean_and_every_optimum_says_its_numbers():
    joint = quick(table())
    figure = losses_by_condition(joint, "three budgets")
    render(figure, "svg")
    words = [spot.words for spot in figure.spots()]
    means = sum(len(one.means.rho) for one in joint.sweeps)
    assert len([word for word in words if "mean loss" in word]) == means
    for label in joint.labels:
        assert any(word.startswith(label) and "\ngain " in word for word in words)
