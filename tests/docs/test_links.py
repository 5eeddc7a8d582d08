"""Links between the pages, checked without building the site; `make docs` checks them again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.examples import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    found = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).strip().replace(" ", "-") for one in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in headings(target), f"{page.name}: {link}"
        if page.parent == ROOT / "docs":
            assert target.is_relative_to(ROOT / "docs"), f"{page.name}: {link} leaves the site"


def test_every_page_is_in_the_site_once() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]

    def pages(part: object) -> list[str]:
        if isinstance(part, str):
            return [part]
        inside = part.values() if isinstance(part, dict) else part
        return [page for each in inside for page in pages(each)]  # type: ignore[union-attr]

    assert sorted(pages(nav)) == sorted(path.name for path in (ROOT / "docs").glob("*.md"))
