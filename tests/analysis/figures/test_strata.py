from analysis.figures.strata import gain_by_stratum
from analysis.figures.style import render
from analysis.inside.strata import analyse_strata
from tests.analysis.inside.measured import strata_rows


def test_every_stratum_has_a_dot_in_every_panel():
    result = analyse_strata(strata_rows(), "demo")
    figure = gain_by_stratum(result, "demo $x$")
    panels = figure.axes
    assert len(panels) == 3
    dots = [line for line in panels[1].lines if line.get_marker() == "o"]
    assert len(dots) == len(result.of(3))
    assert [text.get_text() for text in panels[0].get_yticklabels()][1].startswith("shown 10-99")
    assert render(figure, "png") == render(gain_by_stratum(result, "demo $x$"), "png")
