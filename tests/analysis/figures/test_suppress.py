from analysis.figures.suppress import loss_without_memory
from analysis.inside.suppress import CLASSES, MODES, analyse_suppress
from tests.analysis.inside.test_suppress import suppress_rows


def test_every_class_has_a_panel_and_every_mode_a_line():
    figure = loss_without_memory(analyse_suppress(suppress_rows(), "demo"), "demo")
    assert len(figure.axes) == len(CLASSES)
    for axes in figure.axes:
        labels = [line.get_label() for line in axes.lines]
        assert set(MODES) <= set(labels)
        assert "pure MoE" in labels
