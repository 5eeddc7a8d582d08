"""The report of two sweeps beside each other: picture, table and page."""

from html import escape
from pathlib import Path

from analysis.figures import style
from analysis.figures.two_sweeps import two_sweeps
from analysis.report import page
from analysis.report.comparison_sentences import comparison_table, state_comparison
from analysis.report.page_figure import figure
from analysis.report.page_table import table
from analysis.report.verdict_sentences import state_verdict
from analysis.report.write import writing
from analysis.sweep.comparison import Comparison
from engram_sweep.atomic_files import write_atomically

_NOTE = (
    "Second minus first, nats/token, each interval by itself. The gain is the loss at the largest "
    "common rho minus that here: its difference is what is left if only the level differs."
)


def write_comparison(found: Comparison, folder: Path, first: str, second: str) -> str:
    """Write two_sweeps.png, .pdf and .svg, comparison.parquet and report.html.

    Args:
        found: the comparison.
        folder: where to write; it must exist.
        first: what the first sweep is called.
        second: what the second one is called.

    Returns:
        What it shows, one sentence.

    Raises:
        UserError: the folder cannot be written.
    """
    sentence = state_comparison(found, first, second)
    picture = two_sweeps(found, first, second)
    rows = comparison_table(found, first, second)
    digits = dict.fromkeys(rows.columns[2:], 4) | {"rho": 3}
    verdicts = [
        page.section(name, f"<p>{escape(state_verdict(sweep).sentence)}</p>")
        for name, sweep in ((first, found.first), (second, found.second))
    ]
    body = [
        f'<p class="verdict">{escape(sentence)}</p>',
        figure(picture, sentence),
        page.section("Difference per rho", table(rows, digits), _NOTE),
        *verdicts,
    ]
    html = page.document(f"{second} against {first}", body, "Two sweeps")
    with writing(folder):
        style.save(picture, folder, "two_sweeps")
        write_atomically(
            folder / "comparison.parquet", lambda path: rows.to_parquet(path, index=False)
        )
        write_atomically(
            folder / "report.html", lambda path: path.write_text(html, encoding="utf-8") and None
        )
    return sentence
