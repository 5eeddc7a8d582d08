"""Sections of a sweep's page for what was measured inside its runs, as `write_inside` left it.

They are read from files, so that writing the page again takes no longer than without them.
"""

from html import escape
from pathlib import Path

import pandas as pd

from analysis.report.page import section
from analysis.report.page_figure import svg_figure
from analysis.report.page_table import table
from engram_sweep.atomic_files import read_fields

FOLDER = "inside"
"""Folder of these files, in that of the sweep."""


def inside_html(folder: Path) -> list[str]:
    """Return a section for each measure that was analysed, in their order.

    Args:
        folder: that of the sweep, `results/<scale>`.
    """
    sections = []
    for path in (folder / FOLDER).glob("*.json"):
        said = read_fields(path, place=int, title=str, sentences=list)
        svg, numbers = path.with_suffix(".svg"), path.with_name(f"{path.stem}_table.parquet")
        if said is None or not svg.is_file() or not numbers.is_file():
            continue
        words = " ".join(str(sentence) for sentence in said["sentences"])
        picture = svg_figure(svg.read_text(encoding="utf-8"), words)
        body = f"<p>{escape(words)}</p>{picture}{table(pd.read_parquet(numbers))}"
        sections.append((said["place"], section(said["title"], body)))
    return [html for _, html in sorted(sections)]
