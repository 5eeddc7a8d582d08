from __future__ import annotations

import pytest

from engram_sweep.config.slurm import Shape
from engram_sweep.planning.cost import cost, price_of
from engram_sweep.planning.notes import launch_refusal, plan_notes, too_short
from engram_sweep.planning.plan import make_plan
from tests.examples import load, scale


def notes(text_tokens: int | None = 10**9, **changes) -> list[str]:
    plan = make_plan(scale(**changes))
    return plan_notes(plan, cost(plan, price_of(plan.scale.launch)), text_tokens)


def test_a_plan_without_anything_to_say_says_nothing() -> None:
    assert notes() == notes(text_tokens=None) == []


@pytest.mark.parametrize("key", ["launch__micro_windows", "launch__shard"])
def test_what_a_launch_refuses_is_told(key: str) -> None:
    (note,) = notes(**{key: 7})
    assert note.startswith("REFUSED AT LAUNCH: ")
    assert f"{key.replace('__', '.')}: expected" in note
    assert "got 7" in note


def test_two_rho_are_no_curve() -> None:
    (note,) = notes(sweep__rho=[1.0, 0.4])
    assert note == "sweep.rho: a fit takes at least 3 values, [1.0, 0.4] are 2"
    assert notes(sweep__rho=[1.0]) == []


def test_a_window_longer_than_the_text_cannot_train() -> None:
    assert notes(text_tokens=64)[0] == (
        "CANNOT TRAIN: training.window: expected less than the 64 tokens of the training text, "
        "got 64"
    )
    assert too_short(scale(), 65) is None


def test_a_step_with_more_windows_than_the_text_is_told() -> None:
    (batch, epochs) = notes(text_tokens=64 * 7 + 1)
    assert "a step has 8 windows, the text 7" in batch
    assert "times" in epochs


def test_a_text_read_several_times_is_told() -> None:
    (note,) = notes(text_tokens=50_000)
    assert note == "the longest run reads its 50,000 tokens of text 2.0 times"


def test_rho_that_are_one_run_are_told_once_whatever_the_seeds() -> None:
    (note,) = notes(sweep__rho=[1.0, 0.6, 0.601, 0.602, 0.2], sweep__seeds=[0, 1, 2])
    assert note.startswith("rho 0.6 and 0.601 and 0.602 (engram) are one run")


@pytest.mark.parametrize(("tokens", "planned"), [(100, 512), (700, 512)])
def test_tokens_far_from_whole_steps_are_told(tokens: int, planned: int) -> None:
    (note,) = notes(training__tokens=tokens)
    assert note.startswith(f"training.tokens: {tokens} are trained as {planned}, in whole steps")


def test_what_a_launch_refuses_is_told_and_nothing_else() -> None:
    gpu = {"gpu": "h100"}
    assert notes(launch=gpu, budget={"max_gpu_hours": 1e-3}) == []
    (note,) = notes(launch=gpu, budget={"max_gpu_hours": 1e-9})
    assert note.startswith("REFUSED AT LAUNCH: expected at most the 0 GPU-hours of budget.max_gpu")
    large = make_plan(load("engram-40B"))
    price = price_of(large.scale.launch)
    assert launch_refusal(large, cost(large, price)) is None
    refusal = launch_refusal(large, cost(large, price, Shape(1, 8, 8)))
    assert refusal is not None
    assert "fit into 72 of the 80 GB of one H100 SXM" in refusal
