"""A look is a function of the records, stops on width and floors, and finds a planted optimum."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.adaptive.look import look
from analysis.simulation.adaptive import trainer
from analysis.simulation.adaptive_worlds import ADAPTIVE_WORLDS
from engram_sweep.planning.adaptive import Design, Finished
from tests.analysis.adaptive.worlds import DESIGN, cell, piloted

DRAWS = 15


def with_width(width: float) -> Design:
    return replace(DESIGN, rules=replace(DESIGN.rules, width=width))


def test_the_same_records_in_any_order_give_the_same_batch() -> None:
    done = piloted()
    first = look(DESIGN, done, 1, draws=DRAWS)
    assert look(DESIGN, done[::-1], 1, draws=DRAWS) == first
    assert len(first.batch) == DESIGN.rules.batch
    assert len({(one.cell, one.seed) for one in first.batch}) == len(first.batch)
    assert not {(one.cell, one.seed) for one in first.batch} & {(r.cell, r.seed) for r in done}
    assert all(one.reason for one in first.batch)


def test_it_stops_on_the_width_once_the_floors_are_met() -> None:
    train = trainer(ADAPTIVE_WORLDS["exponential"], DESIGN, np.random.default_rng(3))
    done = piloted()
    wide = with_width(0.99)
    first = look(wide, done, 1, draws=DRAWS)
    assert not first.stop
    assert "and the floors" in first.words
    # Three more runs of every rho: wherever the optimum is now, its floor is met.
    done += [train(number, seed) for number in DESIGN.at(48.0) for seed in (2, 3, 4)]
    second = look(wide, done, 2, draws=DRAWS)
    assert second.stop
    assert not second.batch
    assert second.width is not None
    assert second.width <= 0.99
    # A narrower rule goes on from the very same losses.
    assert not look(with_width(0.001), done, 2, draws=DRAWS).stop


def test_the_last_look_ends_it_whatever_it_sees() -> None:
    found = look(with_width(0.001), piloted(), DESIGN.rules.looks, draws=DRAWS)
    assert found.stop
    assert "the last look" in found.words


def test_runs_that_diverged_are_not_trained_again_and_not_fitted() -> None:
    lost = Finished(cell(1.0, 48.0), 2, float("nan"))
    found = look(DESIGN, [*piloted(), lost], 1, draws=DRAWS)
    assert (lost.cell, lost.seed) not in {(one.cell, one.seed) for one in found.batch}
    assert found.width == look(DESIGN, piloted(), 1, draws=DRAWS).width


def test_too_few_runs_for_a_law_close_gaps() -> None:
    found = look(DESIGN, piloted()[:7], 1, draws=DRAWS)
    assert found.width is None
    assert not found.stop
    assert {DESIGN.cells[one.cell].length for one in found.batch} == {48.0}


@pytest.mark.slow
def test_ten_sweeps_end_near_the_planted_optimum() -> None:
    from analysis.simulation.adaptive import adaptive_sweep

    world = ADAPTIVE_WORLDS["exponential"]
    ends = [adaptive_sweep(world, DESIGN, np.random.default_rng(seed)) for seed in range(10)]
    true, _ = world.truth(48.0)
    assert sum(low <= true <= high for _, low, high in (one.rho_star for one in ends)) >= 7
    assert np.mean([one.flops for one in ends]) < 0.9
