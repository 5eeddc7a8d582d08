import numpy as np

from analysis.figures.eval import bits_by_task
from analysis.figures.style import CURVE, SEEDS
from analysis.inside.eval import analyse_eval
from tests.analysis.inside.measured import SAVED, eval_rows


def test_each_task_has_a_panel_and_one_that_is_not_resolved_is_grey():
    result = analyse_eval(eval_rows(), "demo")
    figure = bits_by_task(result, "demo")
    parabola, flat, _, empty = figure.axes
    assert [axes.get_title("left").splitlines()[0] for axes in figure.axes[:3]] == list(SAVED)
    assert parabola.lines[0].get_color() == CURVE
    assert flat.lines[0].get_color() == SEEDS
    assert not empty.axison
    drawn = np.array(parabola.lines[0].get_ydata())
    assert drawn[-1] == 0
    assert drawn[2] == result.tasks[0].points[2].below_moe.value
