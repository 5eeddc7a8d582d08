import numpy as np
import pytest

from analysis.figures.literature import gains_over_rho
from analysis.figures.loss_vs_rho import loss_vs_rho
from analysis.figures.style import FORMATS, render
from analysis.sweep.sweep_analysis import analyse_sweep
from tests.analysis.tables import full_table, sweep


@pytest.mark.parametrize("kind", FORMATS)
def test_figures_are_the_same_bytes_each_time(kind):
    table = full_table()
    assert render(loss_vs_rho(analyse_sweep(table), "x"), kind) == render(
        loss_vs_rho(analyse_sweep(table), "x"), kind
    )


@pytest.mark.parametrize("truth", ["flat", "edge_memory", "edge_experts"])
def test_every_shape_and_one_seed_can_be_drawn(truth):
    for seeds in (1, 2):
        result = analyse_sweep(sweep(truth, seeds=seeds))
        assert render(loss_vs_rho(result, truth), "png").startswith(b"\x89PNG")
    assert render(gains_over_rho(result, truth), "svg").startswith(b"<?xml")


def test_what_is_marked_can_be_seen():
    axes = loss_vs_rho(analyse_sweep(full_table()), "title").axes
    words = [text.get_text() for text in axes[0].texts]
    assert any(word.startswith("gain") for word in words)
    assert [tick.get_text() for tick in axes[1].get_xticklabels()] == [
        "dense",
        "one row",
        "over-encoding",
    ]
    labels = axes[0].get_legend_handles_labels()[1]
    assert {"fit", "90% band", "no loss (failed or diverged)"} <= set(labels)
    drawn = np.isnan(np.asarray(axes[0].lines[0].get_xdata(), float))
    assert drawn.sum() == full_table()["seed"].nunique(), (
        "a seed's runs are joined, and with no other's"
    )
