"""All missed steps at once, against Adam's formula taken step by step."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_sweep.training.missed_steps import MissedSteps, horizon

DEEPSEEK = (0.9, 0.95)


def one_by_one(
    mean: np.ndarray,
    root: np.ndarray,
    since: int,
    rates: list[float],
    betas: tuple[float, float],
    eps: float,
) -> np.ndarray:
    """Adam's moves of the steps since + 1 .. len(rates) without a gradient, float64."""
    b1, b2 = betas
    moved = np.zeros_like(mean)
    m, v = mean.copy(), root**2
    for step in range(since + 1, len(rates) + 1):
        m, v = b1 * m, b2 * v
        m_hat, v_hat = m / (1 - b1**step), v / (1 - b2**step)
        moved -= rates[step - 1] * m_hat / (np.sqrt(v_hat) + eps)
    return moved


def at_once(mean, root, since, rates, betas, eps) -> np.ndarray:
    missed = MissedSteps(betas, eps)
    for step, rate in enumerate(rates, start=1):
        missed.add(step, rate)
    rows = torch.tensor([since])
    return missed.move(rows, torch.tensor(mean)[None], torch.tensor(root)[None]).numpy()[0]


def moments(eps: float) -> tuple[np.ndarray, np.ndarray]:
    """Roots of second moments from far below eps to far above it."""
    root = eps * 10.0 ** np.linspace(-6, 9, 61)
    return root * np.where(np.arange(61) % 2, 0.5, -2.0), root


@settings(max_examples=60, deadline=None)
@given(
    betas=st.sampled_from([DEEPSEEK, (0.9, 0.999), (0.9, 0.99), (0.8, 0.95), (0.0, 0.9)]),
    eps=st.sampled_from([1e-20, 1e-8, 1e-3]),
    since=st.integers(0, 700),
    gap=st.integers(0, 400),
    seed=st.integers(0, 5),
)
def test_a_gap_equals_its_steps_one_by_one(betas, eps, since, gap, seed):
    """Whatever the schedule, and whatever the size of a gradient beside eps."""
    steps = since + gap
    rates = np.random.default_rng(seed).uniform(0.01, 1.0, steps).cumprod().clip(0.1).tolist()
    mean, root = moments(eps)
    wanted = one_by_one(mean, root, since, rates, betas, eps)
    got = at_once(mean, root, since, rates, betas, eps)
    np.testing.assert_allclose(got, wanted, rtol=3e-6, atol=0)


@pytest.mark.parametrize("since", [0, 300])
def test_where_eps_is_negligible_the_sum_is_exact(since):
    """Not only to the accuracy of a series: what is left out is what comes after the horizon."""
    rates = [min(1, (step + 1) / 50) * (1 - step / 1000) for step in range(900)]
    mean, root = np.array([0.3, -2.0]), np.array([0.7, 1e-3])
    wanted = one_by_one(mean, root, since, rates, DEEPSEEK, 1e-20)
    got = at_once(mean, root, since, rates, DEEPSEEK, 1e-20)
    np.testing.assert_allclose(got, wanted, rtol=1e-7)


def test_one_touch_far_into_training_carries_a_row_by_nearly_six_learning_rates():
    """And by less than half of one in the step of the touch, which is all that lazy Adam gives."""
    gradient, since = 1.0, 1000
    mean, root = np.array([0.1 * gradient]), np.array([math.sqrt(0.05) * gradient])
    first = -mean / root
    later = at_once(mean, root, since, [1.0] * 1400, DEEPSEEK, 1e-20)
    assert first == pytest.approx(-0.447, abs=1e-3)
    assert first + later == pytest.approx(-5.84, abs=0.01)


def test_the_share_beyond_the_horizon_is_below_float32_rounding():
    r = 0.9 / math.sqrt(0.95)
    assert r ** horizon(DEEPSEEK) <= 2**-26 < r ** (horizon(DEEPSEEK) - 1)
    assert horizon(DEEPSEEK) == 227
    assert horizon((0.0, 0.9)) == 0


@pytest.mark.parametrize("betas", [(0.95, 0.9), (0.5, 0.25), (0.0, 0.0)])
def test_betas_under_which_nothing_comes_to_rest_are_refused(betas):
    with pytest.raises(ValueError, match="expected b1 below sqrt"):
        MissedSteps(betas, 1e-8)


def test_room_for_steps_grows_and_changes_nothing(monkeypatch):
    rates = [1 / (1 + step) for step in range(300)]
    mean, root = moments(1e-8)
    wanted = at_once(mean, root, 130, rates, DEEPSEEK, 1e-8)
    monkeypatch.setattr("engram_sweep.training.missed_steps.MIN_STEPS", 3)
    np.testing.assert_array_equal(at_once(mean, root, 130, rates, DEEPSEEK, 1e-8), wanted)


def test_what_never_had_a_gradient_stays():
    zeros = np.zeros(3)
    assert not at_once(zeros, zeros, 0, [1.0] * 50, DEEPSEEK, 1e-8).any()


def test_a_row_moves_the_same_wherever_it_stands_in_the_batch():
    """Bit for bit, in float32: processes bring the same row up to date among different others."""
    missed = MissedSteps(DEEPSEEK, 1e-8)
    for step in range(1, 51):
        missed.add(step, 1e-3)
    generator = torch.Generator().manual_seed(0)
    since = torch.randint(0, 50, (97,), generator=generator)
    mean = torch.randn(97, 5, generator=generator) * 1e-6
    root = torch.rand(97, 5, generator=generator) * 1e-7
    together = missed.move(since, mean, root)
    alone = [missed.move(since[i : i + 1], mean[i : i + 1], root[i : i + 1]) for i in range(97)]
    assert torch.equal(together, torch.cat(alone))
