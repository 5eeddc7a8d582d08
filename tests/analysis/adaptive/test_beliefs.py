"""What a run would tell, against conditioning a normal distribution by the textbook."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.adaptive.beliefs import TARGETS, Beliefs, beliefs_of
from analysis.adaptive.sampler import AXIS, runs_of
from analysis.scaling.run_laws import fit_longest_run_laws
from tests.analysis.adaptive.worlds import DESIGN, cell, piloted


@pytest.fixture(scope="module")
def beliefs() -> Beliefs:
    fitted = fit_longest_run_laws(runs_of(DESIGN, piloted()), AXIS, 0.9, draws=20)
    assert fitted is not None
    return beliefs_of(DESIGN, *fitted)


def conditioned(beliefs: Beliefs, places: list[tuple[int, int]]) -> np.ndarray:
    """Covariance after observing runs all at once, by the general formula."""
    rows = np.zeros((len(places), len(beliefs.cov)))
    for row, (number, seed) in zip(rows, places, strict=True):
        row[[number, beliefs.group(number, seed)]] = 1
    noise = np.diag([beliefs.noise[number] for number, _ in places])
    seen = beliefs.cov @ rows.T
    return beliefs.cov - seen @ np.linalg.solve(rows @ seen + noise, seen.T)


def test_runs_one_after_the_other_tell_what_they_tell_at_once(beliefs: Beliefs) -> None:
    places = [(cell(1.0, 48.0), 2), (cell(0.5, 48.0), 2), (cell(0.5, 5.0), 0), (0, 3)]
    found = beliefs.after(places).cov
    assert found == pytest.approx(conditioned(beliefs, places), abs=1e-12)
    # The order is of no matter.
    assert beliefs.after(places[::-1]).cov == pytest.approx(found, abs=1e-12)


def test_shares_are_what_a_run_takes_off_the_targets(beliefs: Beliefs) -> None:
    place = (cell(0.75, 48.0), 4)
    before, after = (
        np.diag(one)[-len(TARGETS) :]
        for one in (
            beliefs.cov,
            conditioned(beliefs, [place]),
        )
    )
    shares = beliefs.shares(*place)
    assert shares == pytest.approx(1 - after / before)
    assert np.all((shares >= 0) & (shares <= 1))
    # A second run of the same cell tells less than the first.
    assert np.all(beliefs.after([place]).shares(place[0], 5) <= shares + 1e-9)


def test_a_run_at_the_longest_anchor_tells_more_of_the_gain_than_a_short_one(
    beliefs: Beliefs,
) -> None:
    long, short = (beliefs.shares(cell(1.0, length), 3)[1] for length in (48.0, 5.0))
    assert long > short


def test_the_seed_with_the_best_known_shift_is_taken(beliefs: Beliefs) -> None:
    middle = cell(0.25, 20.0)
    # Seed 0 trained five rho at this length; it is free here only if this one is not among them.
    assert beliefs.seed_for(cell(0.4, 20.0), set()) == 0
    assert beliefs.seed_for(middle, {(middle, 0)}) == 1
    assert beliefs.seed_for(middle, {(middle, seed) for seed in DESIGN.seeds}) is None
