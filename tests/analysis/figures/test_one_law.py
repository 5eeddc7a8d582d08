import numpy as np
import pytest

from analysis.figures.one_law import PAPER_TOKENS_PER_ACTIVE, one_law
from analysis.figures.style import render
from tests.analysis.scaling.conftest import quick
from tests.analysis.scaling.test_raw_laws import LENGTHS, planted_table, with_a_lost_start


def test_every_length_is_a_line_with_its_dots_and_the_law_goes_on_to_the_papers():
    joint = quick(planted_table("exponential", 0.002))
    figure = one_law(joint, "planted")
    curves, above, below = figure.axes
    texts = figure.legends[0].get_texts()
    assert [text.get_text() for text in texts] == [f"{one:g}" for one in LENGTHS]
    dots = [line for line in curves.lines if line.get_marker() == "o"]
    assert [len(np.asarray(line.get_xdata())) for line in dots] == [6] * len(LENGTHS)
    # Every line starts at zero at rho = 1, and dots lie on it but for noise.
    lines = [line for line in curves.lines if len(np.asarray(line.get_xdata())) == 161]
    for line, dot in zip(lines, dots, strict=True):
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        assert y[-1] == pytest.approx(0)
        off = np.asarray(dot.get_ydata()) - np.interp(np.asarray(dot.get_xdata()), x, y)
        assert np.abs(off).max() < 0.01
    for panel in (above, below):
        assert np.asarray(panel.lines[0].get_xdata())[-1] == pytest.approx(PAPER_TOKENS_PER_ACTIVE)
    assert render(figure, "png").startswith(b"\x89PNG")


def test_a_length_without_a_law_is_no_line_but_stands_among_the_readings():
    curves, above, _ = one_law(quick(with_a_lost_start()), "planted").axes
    assert len([line for line in curves.lines if line.get_marker() == "o"]) == len(LENGTHS) - 1
    law, readings = (np.asarray(line.get_xdata()) for line in above.lines[:2])
    assert law[0] == pytest.approx(LENGTHS[1])
    assert readings == pytest.approx(LENGTHS)


def test_without_a_law_there_is_nothing_to_draw():
    frame = planted_table("exponential", 0.0003)
    frame.loc[frame["rho"].isin([0.0, 0.5, 0.9]), "validation_loss"] += 0.006
    for joint in (quick(frame), quick(planted_table("exponential", 0.002, lengths=LENGTHS[:2]))):
        with pytest.raises(ValueError, match="nothing to draw"):
            one_law(joint, "none")
