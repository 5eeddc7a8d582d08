import numpy as np

from analysis.figures.retrieval import match_over_distance
from analysis.inside.retrieval import analyse_retrieval
from tests.analysis.inside.measured import LENGTHS, retrieval_rows


def test_each_kind_has_a_panel_with_a_line_for_each_rho_after_the_longest_training():
    result = analyse_retrieval(retrieval_rows(), "demo")
    needles, chains = match_over_distance(result, "demo").axes
    assert [axes.get_title("left") for axes in (needles, chains)] == [
        "needles", "chains of 1 link"
    ]  # fmt: skip
    lines = {line.get_label(): line for line in needles.lines}
    assert np.array(lines["pure MoE"].get_xdata()).tolist() == [16, 32]
    [cell] = [c for c in result.of(0, 16) if (c.rho, c.steps) == (0.5, LENGTHS[1])]
    assert np.array(lines["ρ 0.50"].get_ydata())[0] == cell.match.value
