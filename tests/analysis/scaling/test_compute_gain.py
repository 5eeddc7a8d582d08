"""The compute-equivalent gain of a planted law is its closed form, and intervals hold it."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.scaling.compute_gain import compute_gain, ratio_of_lengths
from analysis.scaling.raw_law import RawLaw
from tests.analysis.scaling.conftest import holds, quick
from tests.analysis.scaling.test_raw_law import PLANTED, planted
from tests.analysis.scaling.test_raw_laws import LENGTHS, MIDDLE, laws, planted_table


def closed_form(law: RawLaw, size: float) -> float:
    """Return D'/D with B D^-v and C D^-c falling alike: both heights are then one power law."""
    floor, training, _, memory = law.heights
    _, gain = law.optimum_and_gain(size, 0.0)
    at_one = law.curves(np.array([size]), np.ones(1))[0] - floor
    assert at_one == pytest.approx((training + memory) * 2 ** (-law.theta[0] * size))
    return float((at_one / (at_one - gain)) ** (1 / law.theta[0]))


@pytest.mark.parametrize("name", PLANTED)
def test_one_law_gives_its_closed_form(name):
    law = planted(name)
    law = replace(law, theta=np.array([*law.theta[:2], law.theta[0], *law.theta[3:]]))
    for size in (-1.0, 0.0, 2.0):
        assert ratio_of_lengths(law, size, 9.0, 0.0) == pytest.approx(
            closed_form(law, size), rel=1e-4
        )


def test_without_a_gain_the_ratio_is_one_and_without_an_end_infinite():
    law = planted("exponential")
    flat = replace(law, heights=law.heights * np.array([1, 1, 1, 0]))
    assert ratio_of_lengths(flat, 0.0, 5.0, 0.0) == 1
    assert ratio_of_lengths(law, 0.0, 0.01, 0.0) == np.inf


def test_the_interval_holds_the_planted_ratio():
    for seed, name in enumerate(PLANTED):
        raw = laws(quick(planted_table(name, 0.002, seed)))
        at = float(np.log2(LENGTHS[1]))
        found = compute_gain(raw, at)
        assert found is not None
        assert found.value is not None
        assert found.low is not None
        assert found.low > 1
        assert holds(found, ratio_of_lengths(planted(name), at - MIDDLE, 9.0, 0.0))


def test_no_other_axis_and_no_refuted_law_has_one():
    raw = laws(quick(planted_table("exponential", 0.002)))
    assert compute_gain(replace(raw, axis="total_over_active"), np.log2(20)) is None
    assert compute_gain(replace(raw, in_play=()), np.log2(20)) is None
    # Pure MoE cannot be followed far enough: no value, and a lower limit that is known.
    never = replace(raw, sizes=(*raw.sizes[:-1], -4.0))
    found = compute_gain(never, np.log2(20))
    assert found is not None
    assert found.value is None
    assert found.high is None
