from typing import Any

import numpy as np

from analysis.figures.style import render
from analysis.figures.variants import worth_of_parts
from analysis.sweep.ablation import analyse_ablation
from tests.analysis.tables import ablation

WORTH = {"no_gate": 0.05, "no_convolution": 0.0, "order_4": -0.05}
AT: dict[str, Any] = {"sweep__variant_rho": [0.6]}


def test_variants_are_dots_in_the_order_of_their_worth_and_pure_moe_is_last() -> None:
    result = analyse_ablation(ablation(WORTH, **AT), "demo")
    (axes,) = worth_of_parts(result, "demo").axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["order 4", "no convolution", "no gate", "pure MoE"]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    drawn = [float(np.asarray(line.get_xdata(), float)[0]) for line in dots]
    wanted = sorted(one.difference.value or 0.0 for one in result.effects)
    assert drawn == [*wanted, result.wholes[0].moe.value]


def test_pure_moe_far_away_is_a_number_at_the_edge() -> None:
    result = analyse_ablation(ablation({"no_gate": 1e-4}, noise=1e-6, **AT), "demo")
    (axes,) = worth_of_parts(result, "demo").axes
    moe = result.wholes[0].moe.value
    assert moe is not None
    assert max(axes.get_xlim()) < moe
    assert [text.get_text() for text in axes.texts] == [f"{moe:+.4f}"]


def test_every_place_has_a_panel_and_the_same_figure_the_same_bytes() -> None:
    result = analyse_ablation(ablation({"no_gate": 0.05}), "demo")
    assert len(worth_of_parts(result, "demo").axes) == 5
    one, again = (render(worth_of_parts(result, "demo"), "svg") for _ in range(2))
    assert one == again


def test_one_seed_is_drawn_without_intervals() -> None:
    result = analyse_ablation(ablation(WORTH, seeds=1, **AT), "demo")
    (axes,) = worth_of_parts(result, "demo").axes
    assert not [
        line for line in axes.lines if line.get_linestyle() == "-" and line.get_linewidth() == 1.4
    ]
