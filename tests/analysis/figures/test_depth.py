import numpy as np

from analysis.figures.depth import divergence_by_layer
from analysis.inside.depth import analyse_depth
from tests.analysis.inside.test_depth import depth_rows


def test_every_rho_has_a_line_over_its_layers():
    [axes] = divergence_by_layer(analyse_depth(depth_rows(), "demo"), "demo").axes
    lines = {line.get_label(): line for line in axes.lines}
    assert np.array(lines["ρ 0.50"].get_xdata()).tolist() == [1, 2, 3]
    assert np.array(lines["pure MoE"].get_ydata())[0] == 1.5
