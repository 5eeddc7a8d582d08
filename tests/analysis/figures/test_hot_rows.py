from analysis.figures.hot_rows import hits_over_share
from analysis.inside.hot_rows import analyse_hot_rows
from tests.analysis.inside.test_hot_rows import hot_rows


def test_every_order_has_a_panel_and_every_rho_a_line():
    figure = hits_over_share(analyse_hot_rows(hot_rows(), "demo"), "demo")
    assert len(figure.axes) == 2
    for axes in figure.axes:
        assert {"ρ 0.00", "ρ 0.50"} <= {line.get_label() for line in axes.lines}
        assert axes.get_xscale() == "log"
