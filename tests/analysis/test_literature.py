import pytest

from analysis.literature import POINTS, printed_gains


def test_the_papers_gain_is_what_it_prints():
    printed = {(gain.work, gain.rho): gain for gain in printed_gains()}
    assert printed["Engram", 0.8].gain == pytest.approx(0.0139)
    assert printed["Engram", 0.8].certainty == "printed"
    assert printed["Engram", 0.4].gain == 0
    assert printed["Engram", 0.4].certainty == "derived"
    assert printed["Engram-27B", 0.743].gain == pytest.approx(0.012)


def test_every_number_says_where_it_is_from():
    for point in POINTS:
        assert point.source
        assert point.certainty in ("printed", "derived", "second-hand")
        assert point.rho is None or 0 <= point.rho <= 1
