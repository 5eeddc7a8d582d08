"""The page of two sweeps."""

import pytest

from analysis.report.write_comparison import write_comparison
from analysis.sweep.comparison import compare
from analysis.sweep.sweep_analysis import analyse_sweep
from engram_sweep.errors import UserError
from tests.analysis.tables import sweep


def test_the_page_has_both_verdicts_and_escapes_names(tmp_path):
    found = compare(*(analyse_sweep(sweep(seed=seed), draws=40) for seed in range(2)))
    write_comparison(found, tmp_path, "<old>", "new")
    page = (tmp_path / "report.html").read_text()
    assert "&lt;old&gt;</h2>" in page
    assert "<old>" not in page
    assert page.count("A U is supported") == 2
    with pytest.raises(UserError, match="the report cannot be written"):
        write_comparison(found, tmp_path / "nowhere", "old", "new")
