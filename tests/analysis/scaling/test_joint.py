from analysis.report.joint_sentences import (
    joint_json,
)
from analysis.scaling.joint import analyse
from tests.analysis.scaling.conftest import pick, quick, table


def test_a_condition_without_an_anchor_stops_the_law_and_says_so():
    frame = table()
    joint = quick(pick(frame, (frame["budget"] < 6e20) | (frame["rho"] < 1)))
    assert joint.scaling is None
    assert joint.reason == "No joint fit: budget 6e+20 has no loss at rho = 1."
    assert len(joint_json(joint, [])["conditions"]) == 3


def test_an_unfinished_condition_is_left_out_with_its_reason():
    frame = table()
    joint = analyse(pick(frame, (frame["budget"] < 6e20) | (frame["rho"] > 0.85)), "sim")
    assert len(joint.sweeps) == 2
    assert joint.left_out == (
        "sim, budget 6e+20: 2 values of rho have a loss; expected at least 3 for a curve",
    )


def test_the_same_table_gives_the_same_numbers_in_any_order():
    frame = table()
    first, second = (
        joint_json(quick(one), []) for one in (frame, frame.sample(frac=1, random_state=1))
    )
    assert first == second
