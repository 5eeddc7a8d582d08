"""The report of a sweep over table sizes: picture, summary.parquet and page."""

from collections.abc import Sequence
from pathlib import Path

from analysis.figures import style
from analysis.figures.loss_vs_slots import loss_vs_slots
from analysis.report.slot_numbers import per_size
from analysis.report.slot_sections import slots_page
from analysis.report.slot_sentences import state_slots
from analysis.report.write import writing
from analysis.slots.slots_analysis import SlotsAnalysis
from engram_sweep.atomic_files import write_atomically


def write_slots_report(
    result: SlotsAnalysis,
    folder: Path,
    name: str,
    registered: str | None = None,
    inside: Sequence[str] = (),
) -> list[str]:
    """Write loss_vs_slots.png, .pdf and .svg, summary.parquet and report.html.

    Args:
        result: the analysed sweep.
        folder: where to write; it must exist.
        name: what the sweep is called.
        registered: whether a registered plan was kept, in words.
        inside: sections that are analysed apart from it (`inside_sections.read_inside`).

    Returns:
        What it shows, one sentence or more a line.

    Raises:
        UserError: the folder cannot be written.
    """
    sentences = state_slots(result)
    picture = loss_vs_slots(result, f"Loss over the table size, {name}")
    html = slots_page(result, sentences, name, picture, registered, inside)
    # All is computed before the first file is written: an error leaves nothing half-done.
    with writing(folder):
        style.save(picture, folder, "loss_vs_slots")
        write_atomically(
            folder / "summary.parquet", lambda path: per_size(result).to_parquet(path, index=False)
        )
        write_atomically(
            folder / "report.html", lambda path: path.write_text(html, encoding="utf-8") and None
        )
    return sentences
