"""Expert load and gates along rho."""

import numpy as np
import pytest

from analysis.figures.router import expert_load, gates, relative_load
from analysis.figures.style import render
from analysis.runs.places import places
from tests.analysis.tables import sweep, trained


def words(figure) -> list[str]:
    render(figure, "svg")
    return [spot.words for spot in figure.spots()]


def test_an_even_share_is_one_whatever_the_number_of_experts():
    for place in places(trained(sweep())):
        assert relative_load(place) == pytest.approx(1)


def test_the_most_chosen_and_a_dead_expert_are_said():
    runs = trained(sweep(seeds=1)).reset_index(drop=True)
    runs.at[0, "expert_load"] = [np.array([0.5, 0.5, 0.0, 0.0]), np.full(4, 0.25)]
    figure = expert_load(runs, "title")
    assert figure is not None
    [said] = {word for word in words(figure) if word.startswith("ρ = 0.2, MoE layer 1\n")}
    assert "most chosen expert 2.00 x" in said
    assert "never chosen 2" in said
    crosses = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    assert len(crosses) == 1


def test_gates_are_drawn_where_there_is_a_memory():
    figure = gates(trained(sweep(), modules=2), "title")
    assert figure is not None
    lines = [line for line in figure.axes[0].lines if str(line.get_label()).startswith("module")]
    assert [np.unique(line.get_ydata()).round(3).tolist() for line in lines] == [[0.5], [0.6]]
    assert max(np.max(line.get_xdata()) for line in lines) <= 1


def test_a_table_that_knows_neither_has_no_figure():
    assert expert_load(sweep(), "title") is None
    assert gates(sweep(), "title") is None
