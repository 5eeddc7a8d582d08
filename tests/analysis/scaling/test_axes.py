import numpy as np
import pytest

from analysis.report.joint_sentences import (
    state_joint,
)
from analysis.simulation.conditions import AxesTruth
from engram_sweep.errors import UserError
from tests.analysis.scaling.conftest import holds, quick, table


def test_axes_that_move_together_or_stand_still_are_said_to():
    places = [
        {"total_over_active": 10.0, "tokens_per_active": t, "budget": 6e6 * t} for t in (10, 20, 40)
    ]
    truth = AxesTruth(dict(places[0]))
    joint = quick(table(truth, places))
    assert joint.scaling is not None
    assert joint.scaling.axes.names == ("tokens_per_active",)
    words = " ".join(state_joint(joint))
    assert (
        "total_over_active is about 10 in every condition: its effect is not identified." in words
    )
    assert "budget moves with tokens_per_active" in words
    axes = joint.scaling.axes
    np.testing.assert_allclose(
        axes.place({"budget": 6e6 * 80}), axes.place({"tokens_per_active": 80})
    )
    np.testing.assert_allclose(axes.place({"total_over_active": 10}), axes.centre)
    for impossible in ({"total_over_active": 20}, {"budget": 6e8, "tokens_per_active": 20}):
        with pytest.raises(UserError, match=r"--at .*expected about"):
            axes.place(impossible)


def test_no_axis_at_all_pools():
    frame = table(AxesTruth({}), [{}, {}])
    frame["scale"] = np.repeat(["a", "b"], len(frame) // 2)
    joint = quick(frame)
    assert joint.labels == ("a", "b")
    assert joint.scaling is not None
    assert holds(joint.scaling.predict(np.zeros(0)).gain_over_moe, 0.014)
    assert "No axis varies" in state_joint(joint)[0]
    with pytest.raises(UserError, match="budget is not known for every condition"):
        joint.scaling.axes.place({"budget": 6e20})
