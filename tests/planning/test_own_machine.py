from __future__ import annotations

from engram_sweep.config.commented_yaml import plain
from engram_sweep.config.scale import Launch, Sweep
from engram_sweep.planning.own_geometry import WIDTHS
from engram_sweep.planning.own_machine import (
    Machine,
    launch_section,
    mfu_of,
    sweep_section,
)


def test_sections_are_valid() -> None:
    for machine in (Machine(1, 2), Machine(500, 8, "h100")):
        Launch.model_validate(
            plain({"launch": launch_section(machine, 2, 512, "data/mine")})["launch"]
        )
    assert Sweep.model_validate(
        plain({"x": sweep_section(range(2), range(2, 5))})["x"]
    ).anchor_seeds == (2, 3, 4)
    assert not Sweep.model_validate(plain({"x": sweep_section([7], [])})["x"]).anchor_seeds


def test_gpus_are_shared_among_runs_side_by_side() -> None:
    section = plain({"x": launch_section(Machine(500, 64, "h100"), 2, 1152, None)})["x"]
    assert (section["gpus"], section["parallel"]) == (2, 32)
    assert "corpus_path" not in section


def test_wider_models_use_more_of_a_gpu() -> None:
    shares = [mfu_of(d) for d in WIDTHS if d >= 256]
    assert shares == sorted(shares)
    assert mfu_of(512) == 0.2, "as sweeps/small.yaml assumes"


def test_a_machine_says_what_it_is() -> None:
    assert str(Machine(500, 8, "h100")) == "500 GPU-hours on 8 H100 SXM GPUs"
    assert str(Machine(1, 2)) == "1 core-hours on 2 cores"
