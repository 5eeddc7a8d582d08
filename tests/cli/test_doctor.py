from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engram_sweep.cli.main import main
from tests.examples import ROOT, SWEEPS

pytestmark = pytest.mark.usefixtures("without_slurm")


def test_each_line_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["doctor", "small", "--sweeps", str(SWEEPS), "--results", str(tmp_path)]
    assert main(words) == 1
    lines = capsys.readouterr().out.splitlines()
    missing = next(
        at for at, line in enumerate(lines) if line.startswith("missing corpus of small")
    )
    assert lines[missing + 1].strip().startswith("-> name the folder of your shards")


def test_a_machine_that_can_train_is_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["doctor", "smoke", "--sweeps", str(SWEEPS), "--results", str(tmp_path), "--json"]
    code = main(words)
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert code == int(any(check["state"] == "missing" for check in checks))
    assert {"name", "state", "found", "advice"} == set(checks[0])
    assert checks[-1]["found"] == "smoke would start here (local)"


def test_a_doctor_loads_no_torch() -> None:
    code = (
        "import sys; from engram_sweep.launch.doctor import examine; from pathlib import Path; "
        "examine(Path('results')); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
