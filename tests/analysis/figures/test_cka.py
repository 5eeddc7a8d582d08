import numpy as np

from analysis.figures.cka import alignment_by_layer
from analysis.inside.cka import analyse_cka
from tests.analysis.inside.test_cka import LAYERS, cka_rows


def test_every_rho_has_a_map_with_its_index_and_the_null():
    result = analyse_cka(cka_rows(ahead=1), "demo")
    maps = alignment_by_layer(result, "demo").axes[:2]
    assert [axes.get_title() for axes in maps] == ["ρ 0.50", "pure MoE, other seed"]
    for axes in maps:
        assert [np.size(line.get_xdata()) for line in axes.lines] == [LAYERS, LAYERS]
