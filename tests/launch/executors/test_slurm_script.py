from __future__ import annotations

import re
from pathlib import Path

import pytest

from engram_sweep.launch import dry_run
from engram_sweep.planning.plan import make_plan
from tests.examples import scale
from tests.launch.conftest import sbatch_options

pytestmark = pytest.mark.usefixtures("without_slurm")


def test_keys_reach_the_script(tmp_path: Path) -> None:
    user = tmp_path / "engram-sweep" / "cluster.yaml"
    user.parent.mkdir()
    user.write_text(
        "partition: gpu\naccount: lab\nqos: long\nconstraint: ib\ngpu_type: h100\ngpus_per_node: "
        "4\ncpus_per_task: 6\n"
        "mem_gb: 1.5\nsignal_seconds: 300\nsbatch: [--exclusive, --mail-type=END]\nsrun: "
        "[--container-image=lab.sqsh]\n"
        "setup: [module load cuda, export A='b c']\ncontainer: apptainer exec --nv "
        "lab.sif\npython: python3.11\n"
    )
    launch = {
        "gpu": "h100",
        "gpus": 8,
        "parallel": 3,
        "timeout_minutes": 90,
        "slurm": {"partition": "low"},
    }
    text = (dry_run.write(make_plan(scale(launch=launch)), tmp_path, {}) / "array-0.sh").read_text()
    asked = sbatch_options(text)
    wanted = {
        "partition": "low",
        "account": "lab",
        "qos": "long",
        "constraint": "ib",
        "gpus-per-node": "h100:4",
        "nodes": "2",
        "ntasks-per-node": "4",
        "cpus-per-task": "6",
        "mem": "1536M",
        "signal": "USR2@300",
        "time": "90",
        "exclusive": "",
        "mail-type": "END",
        "array": "0-11%3",
        "job-name": "engram-example",
    }
    assert wanted.items() <= asked.items()
    assert "wckey" not in asked
    lines = text.splitlines()
    runs = next(line for line in lines if line.startswith("RUNS=("))
    assert re.fullmatch(r"RUNS=\((\w{32} ){11}\w{32}\)", runs)
    assert lines.index("module load cuda") < lines.index("export A='b c'") < lines.index(runs)
    given = rf"' {tmp_path}/example \w{{32}} "
    assert re.search(given + r'"\$\{RUNS\[\$\{SLURM_ARRAY_TASK_ID:-0\}\]\}"$', lines[-1])
    command = next(line for line in lines if line.startswith("srun "))
    assert "--kill-on-bad-exit=1" in command
    assert (
        "--container-image=lab.sqsh apptainer exec --nv lab.sif python3.11 -u -P -c 'import os"
        in command
    )
    assert "--cpus-per-task=6" in command
