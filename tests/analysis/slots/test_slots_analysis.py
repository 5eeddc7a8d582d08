import numpy as np
import pytest

from analysis.simulation.slots import LEAD, SIZES
from analysis.slots.slots_analysis import analyse_slots
from tests.analysis.slots.conftest import EXACT, counted, only, quick, slots, without
from tests.analysis.tables import limits


def test_a_planted_line_and_lead_are_read_back():
    found = quick(slots("line", run=EXACT.run))
    assert [one.arm for one in found.arms] == ["engram", "over_encoding"]
    for one in found.arms:
        assert one.slope.value == pytest.approx(-0.006, abs=1e-6)
        assert one.rows.tolist() == SIZES.tolist()
    (pair,) = found.paired
    assert (pair.arm, pair.over, pair.seeds) == ("engram", "over_encoding", 3)
    assert pair.mean.value == pytest.approx(LEAD, abs=1e-6)
    assert pair.slope.value == pytest.approx(0, abs=1e-6)


def test_the_gain_over_the_backbone_is_paired_by_seed():
    """Its seeds lie 0.005 apart, which cancels; it is planted 0.01 above the smallest table."""
    gains = quick(slots("line", run=1e-6)).arms[0].over_moe
    assert gains is not None
    values = [one.value for one in gains.at_size]
    assert values == pytest.approx(0.01 + 0.006 * np.log2(SIZES / 64), abs=1e-5)
    assert quick(without(slots(), "moe")).arms[0].over_moe is None


def test_noise_widens_the_interval_of_the_slope_and_seeds_narrow_it():
    def width(**more) -> float:
        low, _, high = limits(quick(slots(**more)).arms[0].slope)
        return high - low

    assert width(run=0.004, seed=3) > 1.5 * width(run=0.002, seed=3)
    assert np.mean([width(seeds=12, seed=s) for s in range(5)]) < 0.75 * np.mean(
        [width(seeds=3, seed=s) for s in range(5)]
    )


def test_rows_ever_looked_up_are_the_means_of_the_runs():
    touched = quick(counted(slots())).arms[0].touched
    assert touched is not None
    assert touched.table_rows.tolist() == (8 * SIZES).tolist()
    wanted = [4 * min(size, 10_000) + min(4 * size, 900) for size in SIZES]
    assert touched.touched.tolist() == wanted
    assert quick(slots()).arms[0].touched is None


def test_one_size_or_one_seed_still_has_its_means():
    alone = quick(only(slots(), 1))
    assert alone.arms[0].slope.value is None
    assert alone.paired[0].mean.low is not None
    one_seed = quick(slots(seeds=1)).arms[0]
    assert one_seed.slope.value is not None
    assert one_seed.slope.low is None


def test_a_run_without_a_loss_leaves_the_rest():
    table = slots().reset_index(drop=True)
    gone = np.flatnonzero((table["arm"] == "engram") & (table["rows_per_head_asked"] == 64))[0]
    table.loc[gone, "validation_loss"] = np.nan
    found = quick(table)
    assert found.arms[0].means.runs.tolist() == [2, 3, 3, 3, 3, 3]
    assert found.paired[0].seeds == 2
    assert found.arms[0].slope.value == pytest.approx(-0.006, abs=5e-4)


def test_the_same_table_gives_the_same_numbers_in_any_order():
    table = slots()
    shuffled = table.sample(frac=1, random_state=0)
    assert quick(table).arms[0].slope == quick(shuffled).arms[0].slope


def test_the_default_level_is_that_of_every_report():
    assert analyse_slots(slots(), draws=50).level == 0.9
