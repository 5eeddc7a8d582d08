from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_sweep.config.scale import load_scale
from engram_sweep.errors import UserError
from engram_sweep.planning import own_size
from engram_sweep.planning.cost import Price
from engram_sweep.planning.own_geometry import WIDTHS
from engram_sweep.planning.own_machine import RHO, Machine, Text
from engram_sweep.planning.own_size import (
    MAX_EPOCHS,
    MAX_TOKENS_PER_ACTIVE,
    MIN_TOKENS_PER_ACTIVE,
    OwnSize,
    solve,
)
from engram_sweep.planning.plan import Plan, make_plan

BYTES = {"source": ("sotu", ""), "tokenizer": ("bytes", ""), "validation_share": (0.03, "")}
OWN = {"source": ("shards", ""), "tokenizer": ("deepseek-v3", ""), "validation_share": (0.01, "")}


def size(machine: Machine, tokens: int | None = None, seeds: int = 2) -> OwnSize:
    text = Text(OWN if machine.gpu else BYTES, tokens)
    return solve(machine, text, "mine", range(seeds), range(seeds, seeds + 3))


MACHINES = st.builds(
    Machine,
    hours=st.floats(-1, 4.5).map(lambda exponent: 10**exponent),
    devices=st.integers(1, 200),
    gpu=st.sampled_from([None, "h100", "h200", "a100"]),
)


@settings(deadline=None, max_examples=40)
@given(machine=MACHINES, tokens=st.none() | st.integers(10**6, 10**12), seeds=st.integers(2, 5))
def test_what_is_written_fits_into_hours_text_and_memory(machine, tokens, seeds) -> None:
    try:
        own = size(machine, tokens, seeds)
    except UserError:
        return
    scale, ledger = own.plan.scale, own.plan.runs[0].allocation.anchor
    assert own.hours <= machine.hours
    assert own.estimate.get("fits", True)
    assert scale.training.tokens is not None
    per_active = scale.training.tokens / ledger.params_active
    assert 0.9 * MIN_TOKENS_PER_ACTIVE <= per_active <= 1.01 * MAX_TOKENS_PER_ACTIVE
    assert tokens is None or scale.training.tokens <= MAX_EPOCHS * tokens
    assert ledger.params_total / ledger.params_active == pytest.approx(10, rel=0.3)
    assert len(own.plan.runs) == len(RHO) * seeds + 3
    # Each 0.05 is an exact rho, unless tables of a few thousand rows have no primes that fit there.
    assert sorted({run.spec.rho for run in own.plan.runs}) == pytest.approx(sorted(RHO), abs=0.03)
    assert own.limits


@pytest.mark.parametrize("machine", [Machine(1, 2), Machine(500, 8, "h100")])
def test_the_file_is_the_plan(tmp_path, machine: Machine) -> None:
    own = size(machine, 10**10)
    (tmp_path / "mine.yaml").write_text(own.text)
    read = load_scale("mine", tmp_path)
    assert read == own.plan.scale
    assert [run.run_id for run in make_plan(read).runs] == [run.run_id for run in own.plan.runs]
    assert own.text.startswith("# yaml-language-server: $schema=schema.json\n")
    assert max(map(len, own.text.splitlines())) <= 120


def test_more_hours_never_make_narrower_models() -> None:
    widths = [
        size(Machine(hours, 8, "h100")).plan.scale.model.d_model for hours in (5, 50, 500, 5000)
    ]
    assert widths == sorted(set(widths))


def test_the_next_width_would_not_have_fitted() -> None:
    own = size(Machine(20, 4))
    width = own.plan.scale.model.d_model
    after = WIDTHS[WIDTHS.index(width) + 1]
    assert own.limits[0].startswith(f"at d_model {after} the 17 runs take ")
    assert own.hours > 0.8 * 20, "the hours are used"


def test_a_short_text_keeps_models_narrow() -> None:
    short, long = (size(Machine(1000, 8, "h100"), tokens) for tokens in (10**8, 10**11))
    assert short.plan.scale.model.d_model < long.plan.scale.model.d_model
    assert "readings of the text" in short.limits[0]


def test_memory_keeps_models_narrow() -> None:
    own = size(Machine(100_000, 64, "a100"))
    assert "does not fit into the memory of one GPU" in own.limits[0]
    assert own.estimate["memory"]["total"] <= own.estimate["gpu_memory_bytes"]


def test_more_gpus_than_runs_share_runs() -> None:
    assert size(Machine(2000, 8, "h100")).plan.scale.launch.gpus == 1
    assert size(Machine(2000, 80, "h100")).plan.scale.launch.gpus == 4


def test_whole_steps_on_more_gpus_than_fit_the_hours_are_refused() -> None:
    with pytest.raises(UserError, match=r"init: at d_model 256 the 17 runs take .* hours, of 5$"):
        size(Machine(5, 10**7, "h100"))


def test_endless_hours_are_sized_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models whose weights alone fill the memory are not priced, which takes seconds each."""
    priced, whole = [], own_size.cost

    def noted(plan: Plan, price: Price) -> dict[str, Any]:
        priced.append(plan.scale.model.d_model)
        return whole(plan, price)

    monkeypatch.setattr(own_size, "cost", noted)
    assert "does not fit into the memory of one GPU" in size(Machine(1e8, 8, "h100")).limits[0]
    assert len(priced) < 10
    assert max(priced) < 2048


def test_too_few_hours_say_how_many_it_takes() -> None:
    with pytest.raises(
        UserError, match=r"init: at d_model 32 the 17 runs take 0\.\d+ hours, of 0\.01"
    ):
        size(Machine(0.01, 2))
