"""Runs by their place on a curve, and the lists in their columns."""

import numpy as np

from analysis.runs.places import by_size, places, values
from tests.analysis.slots.conftest import slots
from tests.analysis.tables import full_table, sweep


def test_places_are_the_values_of_rho_of_runs_with_a_loss():
    found = places(full_table())
    assert [place.label for place in found] == [
        "0.2",
        *[f"{rho / 10}" for rho in range(3, 10)],
        "1",
    ]
    assert set(found[0].runs["arm"]) == {"engram"}
    assert sum(len(place.runs) for place in found) == 26  # one of 27 has no loss


def test_a_table_without_arms_is_a_curve():
    runs = sweep().loc[:, ["rho", "seed", "validation_loss"]]
    assert [len(place.runs) for place in places(runs)] == [3] * 9


def test_places_of_table_sizes_are_numbered():
    found = places(slots())
    assert by_size(slots())
    assert found[0].label == "no table"
    assert found[-1].label.endswith(" rows")
    assert [place.x for place in found] == list(range(len(found)))


def test_lists_are_arrays_and_what_is_missing_is_empty():
    runs = (
        sweep()
        .iloc[:3]
        .assign(
            load=[[np.array([1.0, 2.0]), np.array([3.0])], None, []], gate=[[0.5], [0.25, 1], None]
        )
    )
    first, second, third = values(runs, "load")
    assert np.array_equal(first, [[1, 2], [3, np.nan]], equal_nan=True)
    assert second.size == third.size == 0
    assert [list(one) for one in values(runs, "gate")] == [[0.5], [0.25, 1], []]
    assert [one.size for one in values(runs, "nothing")] == [0, 0, 0]
