from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from engram_sweep.cli.main import main
from tests.examples import write_scale


def refusal(folder: Path, capsys: pytest.CaptureFixture[str], name: str = "example") -> str:
    """The one line of `engram-sweep sweep`, after checking that it left nothing behind."""
    results = folder / "results"
    # A file that is wrongly let through must fail here and not train.
    with mock.patch("engram_sweep.launch.sweep.sweep", side_effect=AssertionError("launched")):
        code = main(["sweep", name, "--sweeps", str(folder), "--results", str(results)])
    out, err = capsys.readouterr()
    assert code == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("engram-sweep: ")
    assert not results.exists()
    return err


def check_refusal(
    folder: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], says: str
) -> None:
    """See that a scale with some keys changed is refused in one line, with its file and `says`."""
    path = write_scale(folder, **changes)
    said = refusal(folder, capsys)
    assert str(path) in said
    assert re.search(says, said), said
