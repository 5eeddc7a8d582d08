from __future__ import annotations

import pytest

from engram_sweep.cli.main import COMMANDS
from tests.docs.reference import PAGES, commands_page
from tests.examples import ROOT


@pytest.mark.parametrize("name", PAGES)
def test_the_reference_in_the_repository_is_this_one(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == PAGES[name](), "make keys writes it"


def test_every_command_and_the_options_of_inner_ones_are_there() -> None:
    page = commands_page()
    assert page.count("\n## ") >= len(COMMANDS) + 4
    for line in ("## register", "### data prepare", "| `--watch` |", "| `--set KEY=VALUE` |"):
        assert line in page
