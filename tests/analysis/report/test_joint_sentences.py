import pytest

from analysis.report.joint_sentences import (
    parse_place,
    prediction_sentence,
    state_joint,
)
from engram_sweep.errors import UserError
from tests.analysis.scaling.conftest import BUDGETS, law, quick, table


def test_two_conditions_give_a_slope_and_say_what_they_cannot():
    joint = quick(table(places=BUDGETS[:2]))
    words = " ".join(state_joint(joint))
    assert "2 values; two values tell no bend" in words
    assert "As many conditions as the law has parameters: nothing tests it." in words
    assert joint.scaling is not None
    assert joint.scaling.held_out == ()
    assert joint.scaling.p_law == (None, None)


def test_a_prediction_in_words():
    found = law()
    sentence = prediction_sentence(found, parse_place("C=24e20"))
    assert sentence.startswith("At budget 2.4e+21 (2.0 doublings beyond what was trained): rho* 0.")


@pytest.mark.parametrize("text", ["C", "C=", "C=-1", "C=nan", "depth=3", "C=1,budget=2", "C=1,"])
def test_places_that_make_no_sense_are_refused(text):
    with pytest.raises(UserError, match=r"--at .*: expected AXIS=NUMBER"):
        parse_place(text)
