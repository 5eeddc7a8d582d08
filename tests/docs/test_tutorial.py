"""docs/tutorial.md, followed to the letter; only its last command, eleven minutes, is not run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import lines_of
from tests.examples import ROOT, SWEEPS


@pytest.mark.slow
def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    lines = [line.text for line in lines_of(ROOT / "docs" / "tutorial.md")]
    assert lines[-1] == "make sweep"
    # A clone with its environment, which the first command would set up.
    shutil.copytree(SWEEPS, tmp_path / "sweeps")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
        # Older than `.ready`, so that nothing is to be installed.
        os.utime(tmp_path / name, (0, 0))
    binaries = tmp_path / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "engram-sweep").symlink_to(Path(sys.executable).parent / "engram-sweep")
    (binaries / ".ready").touch()
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    # The code of this tree, wherever the command runs.
    path = os.pathsep.join(filter(None, [str(ROOT), clean.get("PYTHONPATH")]))
    environment = {**clean, "PYTHONPATH": path}
    for line in lines[:-1]:
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=1800,
        )
        assert done.returncode == 0, f"{line}: {done.stdout[-2000:]} {done.stderr[-2000:]}"
        if line.startswith("make sweep"):
            assert "before the first run was kept: all 11 runs and no other" in done.stdout
            assert done.stdout.strip().endswith("results/tiny/report.html")
        if line.startswith("make status"):
            assert "11 done of 11 runs" in done.stdout
            assert "best so far: " in done.stdout
        if line.endswith("--json"):
            assert len(json.loads(done.stdout)["sentence"]) > 20
    assert (tmp_path / "results" / "tiny" / "report.html").stat().st_size > 10_000
    assert len((tmp_path / "tutorial.csv").read_text().splitlines()) == 12
