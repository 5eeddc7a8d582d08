import numpy as np
import pytest

from analysis.figures.loss_vs_slots import loss_vs_slots
from analysis.figures.style import render
from tests.analysis.slots.conftest import counted, only, quick, slots


def labels(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_every_run_every_law_and_the_share_of_rows_are_drawn():
    result = quick(counted(slots("saturating", seed=1)))
    figure = loss_vs_slots(result, "Toy")
    above, below = figure.axes
    dots = [
        line for line in above.lines if line.get_linestyle() == "None" and line.get_marker() == "o"
    ]
    drawn = np.sort(np.concatenate([line.get_ydata() for line in dots]))
    np.testing.assert_array_equal(drawn, np.sort(result.runs.sized["validation_loss"]))
    assert [name.split(":")[0] for name in labels(figure)].count("Engram") == 2
    assert "Engram: saturating" in labels(figure)
    assert "pure MoE, no table" in labels(figure)
    shares = np.asarray(below.lines[0].get_ydata(), dtype=float)
    assert result.arms[0].touched is not None
    np.testing.assert_allclose(shares, 100 * result.arms[0].touched.share)
    assert above.get_title(loc="left") == "Toy"


def test_a_line_that_is_not_rejected_stands_alone():
    result = quick(slots("line", seed=2))
    assert not any(one.line and one.line.rejected for one in result.arms)
    figure = loss_vs_slots(result, "Toy")
    assert len(figure.axes) == 1, "records that count no rows have no second panel"
    assert not any("saturating" in name for name in labels(figure))


@pytest.mark.parametrize("table", [only(slots(), 1), slots(seeds=1)], ids=["one size", "one seed"])
def test_what_has_no_slope_or_no_limits_is_drawn_all_the_same(table):
    assert render(loss_vs_slots(quick(table), "Toy"), "svg").startswith(b"<?xml")
