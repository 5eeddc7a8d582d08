"""Everything a reader of a sweep is handed: figures, a table per rho, one self-contained page."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from analysis.figures import loss_vs_rho, style
from analysis.report.inside_sections import read_inside
from analysis.report.numbers import per_rho
from analysis.report.sections import sweep_page
from analysis.report.verdict_sentences import StatedVerdict, state_verdict, summary
from analysis.sweep.sweep_analysis import DELTA, LEVEL, SweepAnalysis, analyse_sweep
from engram_sweep.atomic_files import write_atomically
from engram_sweep.errors import UserError


def write_report(
    table: pd.DataFrame, folder: Path, name: str, level: float = LEVEL, delta: float = DELTA
) -> tuple[SweepAnalysis, StatedVerdict]:
    """Analyse a table of runs and write the results into `folder`.

    Files: loss_vs_rho.png, .pdf, .svg, summary.parquet and report.html; each appears whole or not
        at all.

    Args:
        table: one row per run.
        folder: where to write; it must exist.
        name: what the sweep is called (its scale).
        level: nominal coverage of every interval.
        delta: what counts as near-optimal, nats/token.

    Raises:
        UserError: the table cannot be analysed, or the folder not written.
    """
    result = analyse_sweep(table, source=name, level=level, delta=delta)
    inside = read_inside(folder, table).html
    return result, write_sweep_report(result, folder, name, inside=inside)


def write_sweep_report(
    result: SweepAnalysis,
    folder: Path,
    name: str,
    registered: str | None = None,
    inside: Sequence[str] = (),
) -> StatedVerdict:
    """Write the report of an analysed sweep.

    Args:
        result: the sweep.
        folder: where to write; it must exist.
        name: what the sweep is called.
        registered: whether a registered plan was kept, in words.
        inside: sections that are analysed apart from it (`inside_sections.read_inside`).

    Raises:
        UserError: the folder cannot be written.
    """
    verdict = state_verdict(result)
    title = f"Loss over the share of experts, {name}"
    picture = loss_vs_rho.loss_vs_rho(result, title, summary(result))
    html = sweep_page(result, verdict, name, picture, registered, inside)
    # All is computed before the first file is written: an error leaves nothing half-done.
    with writing(folder):
        style.save(picture, folder, "loss_vs_rho")
        write_atomically(
            folder / "summary.parquet", lambda path: per_rho(result).to_parquet(path, index=False)
        )
        write_atomically(
            folder / "report.html", lambda path: path.write_text(html, encoding="utf-8") and None
        )
    return verdict


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into one line.

    Raises:
        UserError: the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{folder}: the report cannot be written ({error.strerror or error})"
        ) from error
