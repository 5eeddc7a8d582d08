import numpy as np
import pytest

from analysis.simulation.sweeps import simulate
from analysis.simulation.worlds import WORLDS


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_a_world_is_the_design_that_its_name_says(world):
    noise, rng = world.noise, np.random.default_rng(0)
    table = simulate(world.truth, world.rho, world.seeds, noise, rng, world.anchor_seeds)
    assert len(table) == len(world.rho) * world.seeds + world.anchor_seeds
    assert (table["rho"] == 1).sum() == world.seeds + world.anchor_seeds
    assert ("anchor x5" in world.name) == (noise.anchor == 5)
    assert ("6 x 2" in world.name) == (len(world.rho) == 6 and world.seeds == 2)
    assert ("+ 3" in world.name) == (world.anchor_seeds == 3)
