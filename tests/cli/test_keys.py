from __future__ import annotations

import json

import pytest

from engram_sweep.cli.keys import markdown
from engram_sweep.cli.main import main
from engram_sweep.config.keys import keys, schema
from tests.examples import ROOT


def test_the_reference_in_the_repository_is_this_one() -> None:
    page = (ROOT / "docs" / "keys.md").read_text()
    assert page == markdown(keys()) + "\n", "make keys writes it"


def test_a_key_is_looked_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "learning_rate"]) == 0
    out = capsys.readouterr().out
    assert "training.learning_rate: number, above 0; required\n    Peak learning rate" in out
    assert "training.table_learning_rate_factor: number, above 0; default: 5.0" in out
    assert "window" not in out


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema()


def test_a_key_that_is_not_there_suggests_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "lerning_rate"]) == 2
    assert capsys.readouterr().err == (
        "engram-sweep: keys: no key contains 'lerning_rate' (did you mean learning_rate?)\n"
    )
    assert main(["keys", "rho", "--schema"]) == 2
    assert "expected no word beside --schema" in capsys.readouterr().err
