from __future__ import annotations

import numpy as np
import pytest

from analysis.simulation.adaptive_worlds import ADAPTIVE_WORLDS, LENGTHS


@pytest.mark.parametrize("name", ADAPTIVE_WORLDS)
def test_a_world_says_its_own_optimum_and_gain(name: str) -> None:
    world = ADAPTIVE_WORLDS[name]
    grid = np.linspace(0, 1, 101)
    best, gain = world.truth(LENGTHS[-1])
    losses = world.loss(LENGTHS[-1], grid)
    assert losses.min() >= losses[-1] - gain - 1e-9
    assert float(world.loss(LENGTHS[-1], np.array(best))) == pytest.approx(losses.min(), abs=1e-5)
    # Training lowers every loss.
    assert np.all(world.loss(LENGTHS[0], grid) > losses)
    if world.is_flat:
        assert np.ptp(losses) == 0
    else:
        # Shaped like the published data: an optimum inside, a gain of 0.02 that falls with length.
        assert 0.4 < best < 0.8
        assert gain == pytest.approx(0.0225, abs=0.003)
        assert world.truth(LENGTHS[1])[1] > 2 * gain
