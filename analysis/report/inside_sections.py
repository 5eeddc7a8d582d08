"""Sections of a sweep's page that are analysed apart from it: measures inside its runs, variants.

They are read from files, as `write_section` left them, so that writing the page again takes no
longer than without them. A section says which runs it was made from: sweeps of one scale (`--set`)
share the folder, and members change.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from matplotlib.figure import Figure

from analysis.figures import style
from analysis.report.page import section
from analysis.report.page_figure import image
from analysis.report.page_table import table
from engram_sweep.atomic_files import read_fields, read_plain, write_atomically, write_json
from engram_sweep.errors import printable

FOLDER = "inside"
"""Folder of these files, in that of the sweep."""


@dataclass(frozen=True)
class Inside:
    """What the page of some runs takes from a sweep's `inside/`."""

    html: Sequence[str] = ()
    """A section for each measure that was analysed, in their order, and the line below."""
    left_out: str = ""
    """Which sections are there and not on the page, and why, in one line; empty if all are."""


def runs_digest(runs: pd.DataFrame) -> str:
    """Return what tells these runs from others: xxh3_128 of their ids, in any order.

    Args:
        runs: one row per run; rho, seed and loss stand for ids in tables that have none.
    """
    columns = ["run_id"] if "run_id" in runs else ["rho", "seed", "validation_loss"]
    rows = (" ".join(map(str, row)) for row in runs[columns].itertuples(index=False))
    return xxhash.xxh3_128_hexdigest("\n".join(sorted(rows)).encode())


def write_section(
    folder: Path,
    name: str,
    place: int,
    title: str,
    sentences: list[str],
    table: pd.DataFrame,
    figure: Figure,
    runs: str,
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
        runs: `runs_digest` of all runs of the sweep as it is now.

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
    said = {"place": place, "title": title, "sentences": sentences, "runs": runs}
    write_json(inside / f"{name}.json", said)


def read_inside(folder: Path, runs: pd.DataFrame) -> Inside:
    """Return the sections that belong on the page of some runs.

    Args:
        folder: that of the sweep, `results/<scale>`.
        runs: all runs of the page, one row each.
    """
    digest = runs_digest(runs)
    sections, left_out = [], []
    for path in sorted((folder / FOLDER).glob("*.json")):
        try:
            sections.append(_section(path, digest))
        except OSError as error:
            left_out.append(printable(f"{path.stem} ({error.strerror or error})"))
        except (ValueError, pa.ArrowException) as error:
            left_out.append(printable(f"{path.stem} ({str(error).splitlines()[0]})"))
    html = [text for _, text in sorted(sections)]
    if not left_out:
        return Inside(html)
    line = f"Left out of the page, to be made again: {', '.join(left_out)}."
    return Inside([*html, f'<p class="note">{escape(line)}</p>'], line)


def _section(path: Path, digest: str) -> tuple[int, str]:
    """Return a section, and where it stands, by its JSON file.

    Others may have written its files: text is escaped, and the figure is an image.

    Raises:
        ValueError: one of its files is not what `write_section` writes, or of other runs.
        ArrowException: its table is none.
        OSError: one of them cannot be read.
    """
    said = read_fields(path, place=int, title=str, sentences=list, runs=str)
    if said is None:
        raise ValueError("expected place, title, sentences and runs")
    if said["runs"] != digest:
        raise ValueError("made from other runs")
    words = " ".join(map(str, said["sentences"]))
    picture = image(read_plain(path.with_suffix(".svg")).decode(), words)
    data = pa.BufferReader(read_plain(path.with_name(f"{path.stem}_table.parquet")))
    frame = pq.read_table(data).to_pandas(ignore_metadata=True)
    if not frame.columns.is_unique:
        raise ValueError("expected a table whose columns have different names")
    html = section(said["title"], f"<p>{escape(words)}</p>{picture}{table(frame)}")
    html.encode()
    return said["place"], html
