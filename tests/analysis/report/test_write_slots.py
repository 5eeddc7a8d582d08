import pandas as pd
import pytest

from analysis.report.slot_sentences import state_slots
from analysis.report.write_slots import write_slots_report
from engram_sweep.errors import UserError
from tests.analysis.slots.conftest import counted, quick, slots


def test_the_report_is_a_picture_in_three_formats_a_table_and_a_page(tmp_path):
    result = quick(counted(slots()))
    assert write_slots_report(result, tmp_path, "tiny-infinite") == state_slots(result)
    assert {path.name for path in tmp_path.iterdir()} == {
        "loss_vs_slots.png",
        "loss_vs_slots.pdf",
        "loss_vs_slots.svg",
        "summary.parquet",
        "report.html",
    }
    assert len(pd.read_parquet(tmp_path / "summary.parquet")) == 12
    assert "<svg" in (tmp_path / "report.html").read_text()


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(UserError, match="the report cannot be written"):
        write_slots_report(quick(slots()), tmp_path / "nowhere", "tiny-infinite")
