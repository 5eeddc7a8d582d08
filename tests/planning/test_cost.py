from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from engram_sweep.cli.main import main
from engram_sweep.config.scale import scale_names
from engram_sweep.config.slurm import Shape
from engram_sweep.errors import UserError
from engram_sweep.launch.executors import local, registry, slurm
from engram_sweep.planning.cost import (
    check_gpu_hours,
    cost,
    optimizer_bytes,
    placement_of,
    price_of,
)
from engram_sweep.planning.kept_weights import kept_bytes
from engram_sweep.planning.plan import Plan, make_plan
from tests.examples import SWEEPS, load, scale

GPU_SCALES = [name for name in scale_names(SWEEPS) if load(name).launch.gpu]


def gpu_plan(**changes) -> Plan:
    return make_plan(scale(launch={"gpu": "h100", "gpus": 4, "parallel": 2, "mfu": 0.5}, **changes))


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without GPU and SLURM, whatever it has."""
    monkeypatch.setattr(slurm.shutil, "which", lambda name: None)
    monkeypatch.setattr(
        local.Path,
        "glob",
        lambda self, pattern: iter(()) if str(self) == "/dev" else GLOB(self, pattern),
    )


GLOB = Path.glob


def test_cpu_scales_keep_their_worker_hours():
    plan = make_plan(scale())
    found = cost(plan, price_of(plan.scale.launch))
    assert found == {
        "runs": 12,
        "tokens": sum(run.tokens for run in plan.runs),
        "flops": sum(run.flops for run in plan.runs),
        "kept_bytes": kept_bytes(plan),
        "sustained_gflops": 10.0,
        "worker_hours": found["flops"] / 10e9 / 3600,
    }


def test_gpu_hours_are_flops_over_sustained_speed():
    plan = gpu_plan()
    found = cost(plan, price_of(plan.scale.launch))
    hours = [run.flops / (989.5e12 * 0.5) / 3600 for run in plan.runs]
    assert found["gpu_hours"] == pytest.approx(sum(hours))
    assert found["gpu_hours_per_run"] == [min(hours), max(hours)]
    assert found["gpus"] == 8
    # 12 equal runs, two side by side on four GPUs each.
    assert found["wall_hours"] == pytest.approx(6 * hours[0] / 4, rel=0.01)
    assert found["money"] is None


def test_the_command_line_overrides_the_assumptions():
    plan = gpu_plan()
    slow = cost(plan, price_of(plan.scale.launch, "a100", 0.25, 48, 2.0))
    fast = cost(plan, price_of(plan.scale.launch))
    assert slow["gpu_hours"] == pytest.approx(fast["gpu_hours"] * 2 * 989.5 / 312)
    assert slow["money"] == pytest.approx(2 * slow["gpu_hours"])
    assert slow["wall_hours"] == pytest.approx(slow["gpu_hours_per_run"][1] / 4)
    assert slow["gpu_memory_bytes"] == 80e9


def test_wall_clock_of_unequal_runs_is_a_schedule():
    plan = gpu_plan(training__tokens=None, sweep__tokens_per_active=[1, 10], sweep__seeds=[0])
    found = cost(plan, price_of(plan.scale.launch))
    hours = [run.flops / (989.5e12 * 0.5) / 3600 / 4 for run in plan.runs]
    assert max(hours) + min(hours) < found["wall_hours"] < sum(hours)
    assert found["wall_hours"] >= sum(hours) / 2


@pytest.mark.parametrize("name", GPU_SCALES)
def test_shipped_gpu_scales_fit_are_bound_by_compute_and_stay_within_their_own_limit(name):
    plan = make_plan(load(name))
    found = cost(plan, price_of(plan.scale.launch))
    assert found["fits"]
    assert found["memory"]["total"] <= 0.9 * found["gpu_memory_bytes"]
    assert found["step"]["bound"] == "compute"
    check_gpu_hours(plan, found["gpu_hours"], None)


def test_checkpoints_on_disk():
    plan = gpu_plan(sweep__rho=[1.0], sweep__seeds=[0, 1, 2])
    params = sum(e.count for e in plan.runs[0].allocation.ledger.entries)
    # Final weights of three runs, two whole checkpoints of the two in flight.
    assert (
        cost(plan, price_of(plan.scale.launch))["disk_bytes"]
        == 3 * 4 * params + 2 * 2 * 12 * params
    )


def test_muon_keeps_one_moment_of_every_matrix():
    adam, muon = (
        optimizer_bytes(gpu_plan(training__optimizer=name).runs[0]) for name in ("adamw", "muon")
    )
    run = gpu_plan().runs[0]
    params = sum(e.count for e in run.allocation.ledger.entries)
    embedding_and_head = 2 * 256 * 64
    assert adam == 8 * params
    # Embedding, head and the norms keep two.
    least = 4 * (params + embedding_and_head)
    assert least < muon < 1.02 * least


def test_a_launch_trains_under_the_placement_that_the_plan_prices():
    plan = make_plan(load("10B"))
    occupied = Shape(4, 8, 8)
    estimate = cost(plan, price_of(plan.scale.launch), occupied)
    assert asdict(placement_of(plan, occupied)) == estimate["placement"]


def test_what_does_not_fit_names_the_smallest_mesh_that_would():
    plan = make_plan(load("engram-40B"))
    with pytest.raises(
        UserError,
        match=r"expected runs that fit into 72 of the 80 GB of one H100 SXM, the largest takes "
        r"\d+ GB on 1 x 8 of them; the smallest mesh that would do is launch\.gpus: 16 with "
        r"launch\.shard: 16; nothing was launched",
    ):
        placement_of(plan, Shape(1, 8, 8))
    assert placement_of(plan, Shape(4, 8, 8)).shards == 8


def test_what_one_window_does_not_fit_no_mesh_holds():
    plan = gpu_plan(training__window=40_000_000, training__batch_windows=4, training__tokens=10**9)
    with pytest.raises(UserError, match="no mesh of these GPUs would do; nothing was launched"):
        placement_of(plan, Shape(1, 4, 4))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--gpus", "8"], "--gpus: expected at least the 32 GPUs of one run, got 8"),
        (["--mfu", "1.5"], "--mfu: expected a share above 0 and at most 1, got 1.5"),
        (["--mfu", "0"], "--mfu: expected a share above 0 and at most 1, got 0"),
    ],
)
def test_impossible_assumptions_are_one_line(capsys, words, says):
    assert main(["plan", "10B", "--sweeps", str(SWEEPS), *words]) == 2
    assert capsys.readouterr().err == f"engram-sweep: {says}\n"


def test_prices_of_a_cpu_scale_ask_for_a_gpu(capsys):
    assert main(["plan", "smoke", "--sweeps", str(SWEEPS), "--price", "2"]) == 2
    assert "expected --gpu beside them" in capsys.readouterr().err
    assert main(["plan", "smoke", "--sweeps", str(SWEEPS), "--gpu", "a100", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cost"]["gpu_name"] == "A100 SXM"


def test_the_limit_of_the_scale_is_raised_on_the_command_line_only():
    plan = gpu_plan(budget={"max_gpu_hours": 100})
    check_gpu_hours(plan, 100, None)
    check_gpu_hours(plan, 1234, 1300)
    with pytest.raises(
        UserError, match=r"at most the 100 GPU-hours of budget\.max_gpu_hours, .* 1,235; --max-gpu"
    ) as no:
        check_gpu_hours(plan, 1234.6, None)
    check_gpu_hours(plan, 1234.6, float(str(no.value).split("--max-gpu-hours ")[1].split()[0]))
    with pytest.raises(UserError, match="of --max-gpu-hours"):
        check_gpu_hours(plan, 1234.6, 1000)


def test_a_sweep_over_its_limit_is_not_launched(capsys, bare, tmp_path):
    words = ["sweep", "10B", "--sweeps", str(SWEEPS), "--results", str(tmp_path / "results")]
    assert main([*words, "--max-gpu-hours", "100"]) == 2
    assert "expected at most the 100 GPU-hours of --max-gpu-hours" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_a_slurm_scale_shows_its_bill_and_is_not_launched(capsys, bare, tmp_path):
    results = tmp_path / "results"
    assert main(["sweep", "10B", "--sweeps", str(SWEEPS), "--results", str(results)]) == 2
    out, err = capsys.readouterr()
    assert "plan of 10B" in out
    assert re.search(
        r"price: 1,039 to 1,054 GPU-hours a run, 53,\d\d\d in all on H100 SXM at 22%", out
    )
    assert err == (
        "engram-sweep: 10B: no SLURM (sbatch) here, nothing was launched; DRY_RUN=1 make sweep "
        "SCALE=10B writes what would be submitted\n"
    )
    assert not results.exists()


@pytest.mark.parametrize(
    ("asked", "named", "gpu", "sbatch", "chosen"),
    [
        (None, None, "h100", True, "slurm"),
        (None, None, "h100", False, "local"),
        (None, None, None, True, "local"),
        (None, "local", "h100", True, "local"),
        (None, "slurm", None, False, "slurm"),
        ("inline", "slurm", "h100", True, "inline"),
        ("slurm", None, None, False, "slurm"),
    ],
)
def test_the_executor_is_asked_for_or_named_or_follows_from_the_machine(
    monkeypatch, asked, named, gpu, sbatch, chosen
):
    monkeypatch.setattr(
        registry.shutil, "which", lambda name: f"/usr/bin/{name}" if sbatch else None
    )
    speed = {"gpu": gpu} if gpu else {"sustained_gflops": 1.0}
    launch = scale(launch={**speed, **({"executor": named} if named else {})}).launch
    assert registry.choose(launch, asked).name == chosen


def test_a_gpu_scale_without_a_gpu_is_not_launched(capsys, bare, tmp_path):
    assert (
        main(["sweep", "small", "--sweeps", str(SWEEPS), "--results", str(tmp_path / "results")])
        == 2
    )
    out, err = capsys.readouterr()
    assert "price: " in out
    assert (
        err == "engram-sweep: small: no GPU here, launch.gpu asks for h100; nothing was launched\n"
    )
    assert not (tmp_path / "results").exists()


def test_plan_prints_points_bill_and_ledger(capsys):
    assert (
        main(["plan", "engram-27B", "--sweeps", str(SWEEPS), "--ledger", "0.74", "--price", "3"])
        == 0
    )
    out = capsys.readouterr().out
    for wanted in ("rows asked", "2,262,400", "3072 x29", "money: ", " engram.table ", "FLOPs"):
        assert wanted in out
    assert main(["plan", "engram-27B", "--sweeps", str(SWEEPS), "--ledger", "0.74", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert {"scale", "runs", "cost", "held", "notes", "ledger"} == set(data)
    assert {"runs", "tokens", "flops", "gpu_hours", "fits"} <= set(data["cost"])
