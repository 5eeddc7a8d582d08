from __future__ import annotations

import re

import pytest

from engram_sweep.cli.main import main


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            [],
            "expected a command; there are: data, plan, rehearse, sweep, .*fit, .*report",
        ),
        (["paln", "tiny"], r"unknown command 'paln' \(did you mean plan\?\); there are: data, "),
        (["repotr", "tiny"], r"\(did you mean report\?\)"),
        (
            ["plan"],
            "plan: the following arguments are required: scale; see engram-sweep plan --help",
        ),
        (["plan", "tiny", "--jsn"], r"plan: unknown option --jsn \(did you mean --json\?\); see"),
        (["plan", "tiny", "--sweps=x"], r"unknown option --sweps \(did you mean --sweeps\?\)"),
        (["plan", "tiny", "more"], "plan: expected no further word, got 'more'"),
        (["plan", "tiny", "--gpu", "h10"], "plan: --gpu: invalid choice: 'h10'"),
        (["plan", "tiny", "--price", "-1"], "plan: --price: expected a number above 0, got '-1'"),
        (["plan", "tiny", "--price", "nan"], "expected a number above 0, got 'nan'"),
        (["plan", "tiny", "--set"], "plan: --set: expected one argument"),
        (
            ["plan", "tiny", "--ledger", "8"],
            r"--ledger: expected a rho of the plan \(0, 0.25, .*, got 8",
        ),
        (["sweep", "tiny", "--max-gpu-hours", "-3"], "--max-gpu-hours: expected a number above 0"),
        (["inspect", "ngram"], "inspect: VIEW: invalid choice: 'ngram'"),
        (["export", "tiny", "x.xlsx"], "x.xlsx: expected a name that ends in .parquet or .csv"),
        (["--versoin"], r"unknown option '--versoin' \(did you mean --version\?\)"),
    ],
)
def test_every_mistake_is_one_line(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert re.search(says, err), err
