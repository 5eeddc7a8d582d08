from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from analysis.runs.batches import PROVENANCE, batch_of

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("column", PROVENANCE)
def test_other_provenance_is_another_batch(column):
    same = dict.fromkeys(PROVENANCE, "x")
    runs = pd.DataFrame([same, {**same, column: "y"}, same])
    assert list(batch_of(runs)) == [0, 1, 0]


def test_without_provenance_all_runs_are_one_batch():
    assert list(batch_of(pd.DataFrame({"seed": [0, 1, 2]}))) == [0, 0, 0]
    assert len(batch_of(pd.DataFrame({"seed": []}))) == 0


def test_a_long_pause_starts_a_batch_but_slow_runs_do_not():
    runs = pd.DataFrame(
        {"started_at": [START + timedelta(hours=h) for h in (0, 1, 40, 41)], "wall_seconds": 3600.0}
    )
    assert list(batch_of(runs)) == [0, 0, 1, 1]
    assert list(batch_of(runs.assign(wall_seconds=20 * 3600.0))) == [0, 0, 0, 0]


def test_starts_count_in_order_of_time_and_only_if_all_are_known():
    hours = [40, 0, 41, 1]
    runs = pd.DataFrame({"started_at": [START + timedelta(hours=h) for h in hours]})
    assert list(batch_of(runs)) == [0, 1, 0, 1]
    runs.loc[1, "started_at"] = pd.NaT
    assert list(batch_of(runs)) == [0, 0, 0, 0]


def test_no_runs_are_no_batches():
    """A table of one condition may have none at rho = 1."""
    runs = pd.DataFrame({"started_at": [], "wall_seconds": [], "host": []})
    assert len(batch_of(runs)) == 0
