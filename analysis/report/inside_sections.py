"""Sections of a sweep's page that are analysed apart from it: measures inside its runs, variants.

They are read from files, as `write_section` left them, so that writing the page again takes no
longer than without them.
"""

from html import escape
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import style
from analysis.report.page import section
from analysis.report.page_figure import svg_figure
from analysis.report.page_table import table
from engram_sweep.atomic_files import read_fields, write_atomically, write_json

FOLDER = "inside"
"""Folder of these files, in that of the sweep."""


def write_section(
    folder: Path,
    name: str,
    place: int,
    title: str,
    sentences: list[str],
    table: pd.DataFrame,
    figure: Figure,
) -> None:
    """Write the files of one section: figure, table behind it, and then what makes it a section.

    Args:
        folder: that of the sweep, `results/<scale>`.
        name: of its files.
        place: where it stands on the page, among these sections.
        title: its heading.
        sentences: what it says.
        table: the numbers of the figure.
        figure: the picture.

    Raises:
        OSError: the folder cannot be written.
    """
    inside = folder / FOLDER
    inside.mkdir(parents=True, exist_ok=True)
    style.save(figure, inside, name)
    write_atomically(
        inside / f"{name}_table.parquet", lambda path: table.to_parquet(path, index=False)
    )
    # Last, because a section is there if this file is.
    said = {"place": place, "title": title, "sentences": sentences}
    write_json(inside / f"{name}.json", said)


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
