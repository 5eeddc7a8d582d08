"""Tables of the page: what their cells say and how columns are aligned."""

import numpy as np
import pandas as pd
import pytest

from analysis.report.page_table import cell, table


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (pd.NaT, "–"),
        (True, "yes"),
        (np.bool_(False), "no"),
        (605296, "605,296"),
        (np.int64(605296), "605,296"),
        (1.23456789, "1.2346"),
        (12345.6, "12,346"),
        ("a <word>", "a <word>"),
    ],
)
def test_a_cell_says_one_thing_in_one_way(value, text):
    assert cell(value) == text


def test_a_number_is_shown_rounded_and_kept_whole():
    html = table(pd.DataFrame({"loss": [1.23456789, np.nan]}), {"loss": 3})
    assert '<td data-v="1.23456789">1.235</td>' in html
    assert '<td data-v="">–</td>' in html


def test_a_column_has_one_alignment():
    frame = pd.DataFrame(
        {
            "setting": ["9.9B total, 993M active, 6e20 FLOPs", "the same"],
            "arm": ["5 words", "two"],
            "miss": ["+0.010 %", None],
            "range": ["0.1 to 0.5", "–"],
        }
    )
    html = table(frame)
    assert html.count("<td class=wrap") == html.count("<td class=text") == 2
    assert '<td data-v="+0.010">+0.010 %</td>' in html
    assert "<td>0.1 to 0.5</td>" in html


def test_rows_have_anchors_and_text_is_escaped():
    html = table(pd.DataFrame({"a": ["<b>"]}), ids=["run-1"])
    assert '<tr id="run-1"><td class=text>&lt;b&gt;</td>' in html


def test_an_empty_column_is_no_fault():
    assert "<td" in table(pd.DataFrame({"a": [None], "b": [""]}))
