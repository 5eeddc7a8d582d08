"""What `engram-sweep data` shows on a terminal. Plain lines when piped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from engram_sweep.cli.plan_view import console
from engram_sweep.corpus.ngram_counts import NgramCounts
from engram_sweep.corpus.own_text.prepare import Progress as Reading
from engram_sweep.corpus.shards import Shards
from engram_sweep.corpus.survey import Survey
from engram_sweep.errors import printable

FAR_OFF = 2
"""Factor between the share that is held out and the one that was asked for, worth a line."""


class Bar:
    """A progress bar over the bytes of all files; on a terminal only."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[done]}"),
            TimeRemainingColumn(),
            console=console(),
            transient=True,
            disable=not console().is_terminal,
        )
        self._task = self._bar.add_task("reading", total=None, done="")
        self.progress = Reading(self._show)
        """What is to be told how far the work is."""

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def _show(self, reading: Reading) -> None:
        self._bar.update(
            self._task,
            description=reading.stage,
            total=reading.total_bytes or None,
            completed=reading.read_bytes,
            done=f"{reading.characters / 1e6:,.0f} M characters",
        )


def print_made(folder: Path, shards: Shards, asked: float | None) -> None:
    """Print what a shard folder holds, in two lines, and a third if its split is far off.

    Args:
        folder: where it lies.
        shards: the folder, opened.
        asked: share of the tokens that was to be held out; None if files were named instead.
    """
    m = shards.manifest
    print(
        f"{folder}: {m.train_tokens:,} tokens of {m.train_documents:,} documents to train on, "
        f"{m.validation_tokens:,} held out\n"
        f"tokenizer {m.tokenizer}, {len(shards.compression):,} ids; fingerprint {m.fingerprint}"
    )
    held = m.validation_tokens / (m.train_tokens + m.validation_tokens)
    if asked is not None and not asked / FAR_OFF <= held <= asked * FAR_OFF:
        print(
            f"held out are {held:.2g} of the tokens, asked for were {asked:g}: documents are held "
            "out whole, and these are few or long"
        )


def print_survey(found: Survey, uses: Sequence[dict[str, Any]]) -> None:
    """Print what a look at a shard folder found.

    Args:
        found: of the shards.
        uses: of a scale, its distinct models: arm, rho, tokens, epochs, rows_per_head.
    """
    out = console()
    low, _, median, _, high = found.lengths
    out.print(
        f"{found.train_tokens:,} training tokens in {found.train_documents:,} documents, "
        f"{found.validation_tokens:,} held out in {found.validation_documents:,}; tokens a "
        f"document {low:,} to {high:,}, median {median:,}",
        highlight=False,
    )
    out.print(
        f"tokenizer {found.tokenizer}: {found.used:,} of {found.vocab_size:,} ids occur; "
        f"{found.classes:,} compressed ids",
        highlight=False,
    )
    table = Table(title="n-grams of compressed ids")
    for name in ("order", "distinct", "more than once", "held out and seen in training"):
        table.add_column(name, justify="right")
    for each in found.ngrams:
        about = "" if each.sampled == 1 else "~"
        table.add_row(
            str(each.order),
            f"{about}{each.distinct:,}",
            f"{about}{each.repeated:,}",
            "none held out" if each.seen is None else f"{each.seen:.1%}",
        )
    out.print(table)
    out.print(
        "a head with as many rows as there are distinct n-grams of its order gives each a row of "
        "its own, but for collisions",
        highlight=False,
    )
    out.print(
        f"overlap: {found.documents_in_both:.1%} of the held-out documents are trained on, too; "
        + _copied(found.copies),
        highlight=False,
    )
    _print_uses(found, uses)
    for sample in found.samples:
        out.print(f"  | {printable(sample)}", markup=False, highlight=False, soft_wrap=True)


def _copied(copies: NgramCounts) -> str:
    if copies.seen is None:
        return f"the held-out text is shorter than a copy of {copies.order} tokens"
    return (
        f"{copies.seen:.1%} of the held-out text is copied from it, {copies.order} tokens or more"
    )


def _print_uses(found: Survey, uses: Sequence[dict[str, Any]]) -> None:
    if not uses:
        return
    table = Table(title="what the scale makes of it")
    for name in ("arm", "rho", "tokens", "epochs", "rows per head"):
        table.add_column(name, justify="left" if name == "arm" else "right")
    for each in found.ngrams:
        table.add_column(f"{each.order}-grams a row", justify="right")
    for use in uses:
        rows = use["rows_per_head"]
        loads = [f"{each.distinct / rows[0]:,.1f}" if rows else "" for each in found.ngrams]
        table.add_row(
            use["arm"],
            f"{use['rho']:.3f}",
            f"{use['tokens']:,}",
            f"{use['epochs']:,.2f}",
            f"{rows[0]:,}" if rows else "",
            *loads,
        )
    console().print(table)
