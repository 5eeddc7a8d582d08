import numpy as np
import pytest

from analysis.simulation.variants import DESIGNS, Design, main, measure

SWEEPS = 400
ERROR = np.sqrt(0.09 / SWEEPS)
"""Standard error of a coverage of 90 %."""


@pytest.mark.parametrize("design", [Design(9, 3), Design(5, 2)], ids=str)
def test_all_intervals_together_cover_as_often_as_they_say(design: Design) -> None:
    found = measure(design, SWEEPS, seed=7)
    assert found.family == pytest.approx(0.9, abs=3 * ERROR)
    # Each by itself covers more often, or the family could not.
    assert found.each > 0.95


def test_a_loud_variant_costs_its_own_interval() -> None:
    found = measure(Design(9, 3, 3.0), SWEEPS)
    assert found.loud < found.each - 0.05
    assert found.family < 0.9


def test_the_table_has_a_row_for_each_design(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--sweeps", "2"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(DESIGNS)
