from __future__ import annotations

import numpy as np
import pytest

from analysis.adaptive.estimate import estimate, longest_alone
from analysis.adaptive.sampler import AXIS, runs_of
from analysis.scaling.run_laws import fit_longest_run_laws
from analysis.simulation.adaptive import trainer
from analysis.simulation.adaptive_worlds import ADAPTIVE_WORLDS
from engram_sweep.planning.adaptive import Finished
from tests.analysis.adaptive.worlds import DESIGN, piloted


def test_the_laws_say_where_the_optimum_is_as_they_predict_it() -> None:
    done = piloted()
    fitted = fit_longest_run_laws(runs_of(DESIGN, done), AXIS, 0.9, draws=15)
    assert fitted is not None
    there = fitted[0].predict(np.log2(48)).rho_star
    found = estimate(DESIGN, done, fitted[0], 0.9)
    assert found is not None
    assert found.rho_star == there.value
    assert found.width == pytest.approx((there.high or 0) - (there.low or 0))
    assert "laws" in found.source


def test_without_a_law_the_longest_length_speaks_if_it_has_enough_runs() -> None:
    # Three rho, of which only rho = 1 has a pair: nothing measures the noise.
    assert estimate(DESIGN, piloted(), None, 0.9) is None
    train = trainer(ADAPTIVE_WORLDS["exponential"], DESIGN, np.random.default_rng(1))
    whole = [train(number, seed) for number in DESIGN.at(48.0) for seed in (0, 1)]
    found = estimate(DESIGN, whole, None, 0.9)
    assert found is not None
    assert "alone" in found.source
    alone = longest_alone(DESIGN, [*whole, Finished(0, 0, 9.0)], 0.9)
    assert alone is not None
    assert alone.rho_star.value == found.rho_star, "a run of another length is of no matter"
