from analysis.curve.readings import Interval
from analysis.inside.words import share, with_interval, with_limits


def test_only_what_is_known_is_said():
    known, alone, none = Interval(0.5, 0.25, 0.75), Interval(0.5, None, None), Interval(*[None] * 3)
    assert with_interval(known, 2) == "0.50 [0.25, 0.75]"
    assert with_interval(alone, 1) == "0.5"
    assert with_interval(none) == "none"
    assert with_interval(Interval(0.5, None, 0.75), 2) == "0.50 [none, 0.75]"
    assert share(known) == "50 % [25, 75]"
    assert share(alone) == "50 %"
    assert share(none) == "none"
    assert with_limits("gain", known) == {"gain": 0.5, "gain low": 0.25, "gain high": 0.75}
