"""`make bench ARGS=--gpu`: that it prints its table; how fast anything is, no test asks."""

from __future__ import annotations

import pytest

from benchmarks import train_step

pytestmark = pytest.mark.gpu


def test_the_steps_are_timed_on_a_device(capsys: pytest.CaptureFixture[str]) -> None:
    train_step.main(["--gpu", "--steps", "1", "--cases", "tiny, rho 0.5, m", "--no-compile"])
    assert "% of the machine" in capsys.readouterr().out
