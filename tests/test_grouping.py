"""The suite's own way of running: tests that share an expensive fixture go to one process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = """
import os, pathlib, pytest

@pytest.fixture(scope="session")
def shared():
    (pathlib.Path(__file__).parent / f"made-by-{os.getpid()}").touch()

@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(12))
def test_it(shared, number):
    pass
"""


def test_a_group_s_tests_share_one_process(tmp_path: Path) -> None:
    """Releases of pytest and pytest-xdist that do not fit part them without a word."""
    (tmp_path / "test_it.py").write_text(TESTS)
    words = ["pytest", "-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=tmp_path, capture_output=True, text=True
    )
    assert "12 passed" in done.stdout, done.stdout + done.stderr
    assert len(list(tmp_path.glob("made-by-*"))) == 1
