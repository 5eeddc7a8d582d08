import pytest
from matplotlib.figure import Figure

from analysis.report.slot_sections import SLOT_SECTIONS, slots_page
from tests.analysis.slots.conftest import counted, only, quick, slots, without


def page(table) -> str:
    return slots_page(quick(table), ["A <sentence>."], "tiny-infinite", Figure())


def test_the_page_holds_every_section_and_every_run():
    found = page(counted(slots("saturating")))
    for section in SLOT_SECTIONS:
        assert found.count(f"{section.title}</h2>") == 1
    assert "<h1>Loss over the table size: tiny-infinite</h1>" in found
    assert "A &lt;sentence&gt;." in found
    assert found.count("Every run</h2>") == 1
    assert "saturates" in found
    assert "rows per head" in found


@pytest.mark.parametrize("table", [only(slots(), 1), slots(seeds=1)], ids=["one size", "one seed"])
def test_what_is_not_known_is_none_and_no_fault(table):
    assert "not tested" in page(table)


def test_an_arm_alone_has_no_pairs():
    assert "paired by seed</h2>" not in page(without(slots(), "over_encoding"))
