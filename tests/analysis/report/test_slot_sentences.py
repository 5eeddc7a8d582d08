import numpy as np
import pytest

from analysis.report.slot_sentences import state_slots, word
from tests.analysis.slots.conftest import counted, only, quick, slots


@pytest.mark.parametrize(
    ("world", "wanted"), [("line", "line"), ("saturating", "saturates"), ("flat", "flat")]
)
def test_the_word_is_that_of_the_world(world, wanted):
    result = quick(slots(world, run=0.001, seed=1))
    assert word(result.arms[0]) == wanted
    said = state_slots(result)[0]
    expected = {
        "line": "A line in log M is not rejected (p of a bend ",
        "saturates": "A line in log M is rejected (p = ",
        "flat": "No slope is seen, and no bend",
    }
    assert expected[wanted] in said
    assert said.startswith("Engram: the loss changes by ")
    assert "64 to 65,536 rows per head (6 sizes, 3 seeds, 90% intervals)" in said


def test_a_loss_that_falls_faster_and_faster_steepens():
    table = slots("flat", run=0.0005)
    sized = table["rows_per_head_asked"] > 0
    late = np.maximum(np.log2(table["rows_per_head_asked"].where(sized, 64)) - 12, 0)
    result = quick(table.assign(validation_loss=table["validation_loss"] - 0.01 * late))
    assert word(result.arms[0]) == "steepens"
    assert "it steepens" in state_slots(result)[0]


def test_arms_are_compared_and_so_is_the_backbone():
    said = " ".join(state_slots(quick(slots(run=0.0005))))
    assert "Engram over over-encoding at equal table parameters: 0.00" in said
    assert "Engram with the largest table (65,536 rows per head) over the backbone" in said


def test_rows_never_looked_up_are_said_with_where_they_begin():
    said = state_slots(quick(counted(slots())))
    line = next(one for one in said if one.startswith("Of the largest table of Engram"))
    assert "40,900 of 524,288 rows (8%) were ever looked up" in line
    # Of 4,096 rows a head and order all bigger tables' trigrams fit, and 900 of the bigrams.
    assert "from M = 16,384 on most rows never are" in line
    assert not [one for one in state_slots(quick(slots())) if "looked up" in one]
    full = state_slots(quick(only(counted(slots()), 2)))
    assert any(one.endswith("were ever looked up in training.") for one in full)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (only(slots(), 1), "one table size (64 rows per head) shows no slope"),
        (only(slots(), 3), "not tested: 3 table sizes, at least 4 are needed"),
        (slots(seeds=1), "not tested: nothing measures the noise, add a seed"),
    ],
    ids=["one size", "three sizes", "one seed"],
)
def test_what_is_not_tested_says_why(table, why):
    result = quick(table)
    assert why in state_slots(result)[0]
    assert word(result.arms[0]) == "not_tested"


def test_runs_without_a_loss_are_counted():
    table = slots().reset_index(drop=True)
    table.loc[[4, 30], "validation_loss"] = np.nan
    assert "2 of 39 runs have no loss (failed or diverged)." in state_slots(quick(table))
