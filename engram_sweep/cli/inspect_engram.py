"""`engram-sweep inspect engram`: what a run's memory does with a text, as one HTML strip."""

from __future__ import annotations

import argparse
from pathlib import Path

from engram_sweep.errors import UserError
from engram_sweep.runs.records import runs_folder


def add_view(views) -> None:
    """Add `engram` to the views of `inspect`."""
    summary = "what a run's memory does with a text: rows, gates, what each order changed (HTML)"
    command = views.add_parser("engram", help=summary, description=summary)
    command.add_argument("run", help="a run folder, or the id of a run under the results folder")
    command.add_argument("--text", required=True, help="the text to read")
    command.add_argument(
        "--out", type=Path, default=Path("engram.html"), help="page to write (default: engram.html)"
    )
    command.add_argument(
        "--results", type=Path, default=Path("results"), help="results folder (default: results)"
    )
    command.set_defaults(func=_run)


def folder_of(run: str, results: Path) -> Path:
    """Return the folder of a run that is named by its path, or by its id or how that begins.

    Raises:
        UserError: there is none, or several ids begin so.
    """
    if Path(run).is_dir():
        return Path(run)
    # An id only: a pattern would be read as one.
    if not run.isalnum():
        raise UserError(f"{run}: expected a run folder or the id of a run, there is no such folder")
    found = sorted(results.glob(str(runs_folder(Path(), "*") / f"{run}*")))
    if len(found) != 1:
        count = "several begin" if found else "none begins"
        raise UserError(f"{run}: expected the id of one run under {results}, {count} so")
    return found[0]


def _run(options: argparse.Namespace) -> int:
    folder = folder_of(options.run, options.results)
    from engram_sweep.inside.strip import read_strip, strip_html
    from engram_sweep.inside.trained import open_run

    run = open_run(folder)
    strip = read_strip(run, options.text)
    from engram_sweep.atomic_files import write_atomically

    html = strip_html(strip, f"{run.spec.arm}, rho {run.spec.rho:.2f}, seed {run.spec.seed}")
    write_atomically(options.out, lambda path: path.write_text(html, encoding="utf-8"))
    print(f"{options.out}: {len(strip.tokens)} tokens")
    return 0
