"""Digits by uncertainty."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.curve.readings import Interval
from analysis.curve.rounding import (
    MAX_DECIMALS,
    decimals,
    end_of_range,
    ends_of_range,
    with_interval,
)


@pytest.mark.parametrize(
    ("uncertainty", "digits"),
    [(0.0047, 4), (0.22, 2), (0.1, 2), (0.099, 3), (3.0, 1), (40.0, 0), (1e-12, MAX_DECIMALS)],
)
def test_two_digits_of_the_uncertainty_are_kept(uncertainty, digits):
    assert decimals(uncertainty, otherwise=9) == digits


@pytest.mark.parametrize("unknown", [None, 0.0, -1.0, math.nan, math.inf])
def test_an_unknown_uncertainty_leaves_the_usual_digits(unknown):
    assert decimals(unknown, otherwise=3) == 3


def test_a_value_stands_with_its_limits():
    assert with_interval(Interval(0.02312, 0.02, 0.0294), 4) == "0.0231 [0.0200, 0.0294]"
    assert with_interval(Interval(0.37125, 0.21875, 0.80882), 5) == "0.37 [0.22, 0.81]"
    assert with_interval(Interval(0.5, None, 0.7), 2) == "0.50 [below the range, 0.70]"
    assert with_interval(Interval(None, None, None), 2) == "none"
    assert with_interval(Interval(1.002, 1.0, 1.049), 1, at_most=1) == "1.0 [1.0, 1.0]"


def test_an_end_is_rounded_into_its_range():
    """A table had rho 0.25 outside of a range that was said to start at 0.25 (of 0.25447)."""
    assert end_of_range(0.25447, None, lower=True) == ("0.26", None)
    assert end_of_range(0.25447, (0.21, 0.312), lower=False) == ("0.254", ("0.210", "0.312"))
    assert (
        end_of_range(0.3, None, lower=True)[0] == end_of_range(0.3, None, lower=False)[0] == "0.30"
    )


@given(st.floats(0, 1), st.floats(0, 0.5), st.floats(0, 0.5), st.booleans())
def test_no_end_lies_outside_of_the_range_or_of_its_interval(end, below, above, lower):
    limits = (max(end - below, 0.0), min(end + above, 1.0))
    shown, between = end_of_range(end, limits, lower)
    assert between is not None
    low, high = map(float, between)
    assert low <= limits[0] + 1e-9
    assert high >= limits[1] - 1e-9
    assert low <= float(shown) <= high
    assert (float(shown) >= end - 1e-9) if lower else (float(shown) <= end + 1e-9)


def test_a_narrow_range_does_not_run_backwards():
    """Losses of noise alone were "near-optimal from 0.02 to 0.01"."""
    low, high = ends_of_range(0.01715, (0.0, 0.9999), 0.01842, (0.0, 1.0))
    assert (low, high) == (("0.01", ("0.00", "1.00")), ("0.02", ("0.00", "1.00")))
    assert [shown for shown, _ in ends_of_range(0.25447, None, 0.54, None)] == ["0.26", "0.54"]
    assert [shown for shown, _ in ends_of_range(0.3, None, 0.3, None)] == ["0.30", "0.30"]


@given(
    st.floats(0, 1), st.floats(0, 0.1), st.tuples(st.floats(0, 1), st.floats(0, 1)), st.booleans()
)
def test_the_lower_end_of_a_range_is_never_shown_as_the_higher(low, width, reach, known):
    limits = [(max(low - each, 0), min(low + each, 1)) if known else None for each in reach]
    (lower, _), (higher, _) = ends_of_range(low, limits[0], low + width, limits[1])
    assert float(lower) <= float(higher)
