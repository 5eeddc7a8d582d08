"""Learning curves along rho."""

import numpy as np
import pandas as pd
import pytest

from analysis.figures.learning_curves import learning_curves, losses_by_seed
from analysis.figures.style import render
from analysis.runs.places import places
from tests.analysis.tables import EXACT, sweep, trained


def test_each_rho_has_its_mean_curve_and_its_distance_from_the_largest():
    runs = trained(sweep(noise=EXACT))
    figure = learning_curves(runs, "title")
    assert figure is not None
    left, right = figure.axes
    found = places(runs)
    assert len(left.get_lines()) == len(found)
    ends = [np.asarray(line.get_ydata(), float)[-1] for line in left.get_lines()]
    means = [place.runs["validation_loss"].mean() for place in found]
    assert ends == pytest.approx([mean + 0.1 for mean in means])
    # Without noise all points of a difference are that of the losses.
    for line, mean in zip(right.get_lines(), means, strict=False):
        assert np.asarray(line.get_ydata(), float) == pytest.approx(mean - means[-1])
    render(figure, "svg")
    assert any("ρ = 0.2 minus ρ = 1\n" in spot.words for spot in figure.spots())


def test_a_seed_without_the_largest_rho_is_not_compared():
    runs = trained(sweep(seeds=2))
    runs = runs.loc[~((runs["rho"] == 1) & (runs["seed"] == 1))]
    runs["curve_losses"] = [
        np.full(30, 99.0) if seed == 1 else losses
        for seed, losses in zip(runs["seed"], runs["curve_losses"], strict=True)
    ]
    figure = learning_curves(runs, "title")
    assert figure is not None
    assert max(np.max(line.get_ydata()) for line in figure.axes[1].get_lines()) < 1


def test_a_run_that_was_trained_again_counts_once():
    runs = trained(sweep())
    again = runs.head(1).assign(curve_losses=[np.full(30, 99.0)])
    both = pd.concat([runs, again], ignore_index=True)
    assert losses_by_seed(places(both)[0]).equals(losses_by_seed(places(runs)[0]))
    assert learning_curves(both, "title") is not None


def test_a_run_of_other_steps_is_left_out():
    runs = trained(sweep(seeds=3)).reset_index(drop=True)
    runs.at[0, "curve_steps"] = runs.at[0, "curve_steps"][:5]
    runs.at[0, "curve_losses"] = runs.at[0, "curve_losses"][:5]
    first = losses_by_seed(places(runs)[0])
    assert list(first.columns) == [1, 2]
    assert first.index[-1] == 300_000


def test_a_table_without_curves_has_no_figure():
    assert learning_curves(sweep(), "title") is None
    assert learning_curves(trained(sweep()).assign(curve_losses=None), "title") is None
