"""Training speed along rho."""

import numpy as np

from analysis.figures.style import render
from analysis.figures.training_speed import training_speed
from tests.analysis.tables import sweep, trained


def test_every_run_is_a_dot_of_its_kind_of_device():
    runs = trained(sweep()).assign(device=lambda rows: np.where(rows["seed"] == 0, "a", "b"))
    figure = training_speed(runs, "title")
    assert figure is not None
    left, right = figure.axes
    assert {line.get_label(): np.size(line.get_xdata()) for line in left.lines} == {"a": 9, "b": 18}
    assert np.asarray(right.lines[0].get_ydata(), float).max() == 30 / 3600
    render(figure, "svg")
    assert len(figure.spots()) == 2 * len(runs)


def test_a_table_that_does_not_know_has_no_figure():
    assert training_speed(sweep(), "title") is None
