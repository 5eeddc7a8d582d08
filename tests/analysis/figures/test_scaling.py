"""The law of several conditions."""

import numpy as np
import pytest

from analysis.figures.scaling import optimum_over_axes
from analysis.figures.style import render
from analysis.literature import OPTIMA
from analysis.simulation.conditions import AxesTruth
from tests.analysis.scaling.conftest import law, quick, table


def test_the_law_is_drawn_with_its_conditions_and_the_printed_optima():
    found = law()
    figure = optimum_over_axes(found, "budgets")
    above, below = figure.axes
    assert above.get_xscale() == below.get_xscale() == "log"
    assert len(OPTIMA) > 0
    points = [
        len(np.asarray(line.get_xdata()))
        for line in above.lines
        if line.get_linestyle() in ("None", "none", "")
    ]
    assert sum(points) >= len(found.labels)
    assert render(figure, "png").startswith(b"\x89PNG")


def test_without_an_axis_there_is_nothing_to_draw_against():
    frame = table(AxesTruth({}), [{}, {}])
    frame["scale"] = np.repeat(["a", "b"], len(frame) // 2)
    joint = quick(frame)
    assert joint.scaling is not None
    with pytest.raises(ValueError, match="no axis varies"):
        optimum_over_axes(joint.scaling, "pooled")
