"""A dry run writes what would be submitted, and does nothing else.

It needs neither SLURM nor a GPU nor the corpus.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engram_sweep.cli.main import main
from engram_sweep.launch import dry_run
from engram_sweep.launch.executors import slurm_clients
from engram_sweep.launch.status import sweep_status
from engram_sweep.planning.plan import make_plan
from engram_sweep.runs.folder import RunFolder
from engram_sweep.runs.records import runs_folder
from tests.examples import SWEEPS, load, scale
from tests.launch.conftest import sbatch_options

pytestmark = pytest.mark.usefixtures("without_slurm")


@pytest.mark.parametrize("words", [["--dry-run"], []])
def test_the_paper_s_sweep(
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not words:
        monkeypatch.setenv("DRY_RUN", "1")
    results = tmp_path / "results"
    assert main(["sweep", "10B", "--sweeps", str(SWEEPS), "--results", str(results), *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert (
        f"1 sbatch script and plan.json in {results.resolve()}/10B/dry-run; nothing was launched"
        in out
    )
    assert "submit them with: EXECUTOR=slurm make sweep SCALE=10B" in out
    assert sorted(str(p.relative_to(results)) for p in results.rglob("*") if p.is_file()) == [
        "10B/dry-run/array-0.sh",
        "10B/dry-run/plan.json",
    ]
    asked = sbatch_options((results / "10B/dry-run/array-0.sh").read_text())
    assert (asked["nodes"], asked["gpus-per-node"], asked["ntasks-per-node"]) == ("4", "8", "8")
    assert asked["array"] == "0-50%8"
    assert "requeue" in asked
    assert asked["signal"].startswith("USR2@")
    plan = json.loads((results / "10B/dry-run/plan.json").read_text())
    assert plan["shape"] == {"nodes": 4, "devices": 8, "gpus_per_node": 8}
    assert plan["placement"] == plan["cost"]["placement"]
    assert (plan["placement"]["replicas"], plan["placement"]["shards"]) == (4, 8)
    assert plan["arrays"] == [
        {"script": "array-0.sh", "after": None, "runs": [row["run_id"] for row in plan["runs"]]},
    ]
    assert plan["cost"]["runs"] == len(plan["runs"]) == 51


def test_what_a_launch_would_refuse_is_not_to_be_submitted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sweep", "engram-40B", "--set", "launch.gpus=8", "--dry-run"]
    assert main([*words, "--sweeps", str(SWEEPS), "--results", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "a launch would be refused: expected runs that fit into 72 of the 80 GB" in out
    assert "submit them with" not in out


def test_what_a_launch_would_take_is_to_be_submitted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["sweep", "small", "--sweeps", str(SWEEPS), "--results", str(tmp_path), "--dry-run"])
        == 0
    )
    assert "submit them with: EXECUTOR=slurm make sweep SCALE=small" in capsys.readouterr().out


def test_a_controller_that_hangs_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dry run needs no SLURM: clients without their controller hang."""
    clients = tmp_path / "bin"
    clients.mkdir()
    for name in ("scontrol", "squeue"):
        (clients / name).write_text("#!/bin/sh\nexec /bin/sleep 60\n")
        (clients / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(clients))
    monkeypatch.setattr(dry_run, "SCONTROL_SECONDS", 0.2)
    monkeypatch.setattr(slurm_clients, "CLIENT_SECONDS", 0.2)
    folder = dry_run.write(make_plan(scale()), tmp_path / "results", {})
    assert (folder / "array-0.sh").exists()


def test_files_of_an_earlier_dry_run_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(scale())
    monkeypatch.setattr(dry_run, "MAX_ARRAY_SIZE", 5)
    folder = dry_run.write(plan, tmp_path / "results", {})
    arrays = json.loads((folder / "plan.json").read_text())["arrays"]
    assert [len(array["runs"]) for array in arrays] == [5, 5, 2]
    assert [array["after"] for array in arrays] == [None, "array-0.sh", "array-1.sh"]
    monkeypatch.setattr(dry_run, "MAX_ARRAY_SIZE", 1001)
    assert dry_run.write(plan, tmp_path / "results", {}) == folder
    assert sorted(path.name for path in folder.iterdir()) == ["array-0.sh", "plan.json"]


def test_runs_that_are_at_work_are_left_out(tmp_path: Path) -> None:
    plan = make_plan(scale())
    folder = RunFolder(runs_folder(tmp_path, "example") / plan.runs[0].run_id)
    folder.path.mkdir(parents=True)
    with folder.held():
        assert sweep_status(plan, tmp_path)[0].live
        runs = json.loads((dry_run.write(plan, tmp_path, {}) / "plan.json").read_text())["runs"]
    left = sorted(plan.runs[1:], key=lambda run: run.place)
    assert [row["run_id"] for row in runs] == [run.run_id for run in left]


def test_nodes_that_do_not_divide_are_told_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "engram-sweep").mkdir()
    (tmp_path / "engram-sweep" / "cluster.yaml").write_text("gpus_per_node: 5\n")
    words = [
        "sweep",
        "10B",
        "--sweeps",
        str(SWEEPS),
        "--results",
        str(tmp_path / "results"),
        "--dry-run",
    ]
    assert main(words) == 2
    assert "slurm.gpus_per_node: expected whole nodes" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_every_scale_can_be_dry_run(tmp_path: Path) -> None:
    for path in SWEEPS.glob("*.yaml"):
        assert list(dry_run.write(make_plan(load(path.stem)), tmp_path, {}).glob("array-*.sh"))
