"""`engram-sweep data`: a user's own text or token files to shards, and a look at them."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engram_sweep.cli.options import scale_name
from engram_sweep.errors import UserError

if TYPE_CHECKING:
    from engram_sweep.corpus.own_tokenizer import OwnTokenizer
    from engram_sweep.corpus.shards import Shards
    from engram_sweep.planning.plan import Plan


def register(commands) -> None:
    """Add `data prepare`, `data import` and `data check` to the command line."""
    summary = "your own text: make token shards of it, and look at them"
    actions = commands.add_parser("data", help=summary, description=summary).add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    _add_prepare(actions)
    _add_import(actions)
    _add_check(actions)


def _add_prepare(actions) -> None:
    summary = "tokenise text, JSON lines, parquet or a Hugging Face data set"
    command = actions.add_parser("prepare", help=summary, description=summary)
    command.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="folders, files (text, .jsonl, .parquet; .gz and .zst too), hf:OWNER/NAME[:SPLIT]",
    )
    how = command.add_mutually_exclusive_group()
    _add_tokenizer(how, default="bytes")
    how.add_argument(
        "--train-bpe", type=int, metavar="IDS", help="train a vocabulary of so many ids on the text"
    )
    command.add_argument(
        "--text-key", default="text", metavar="KEY", help="key or column of the text (text)"
    )
    command.add_argument(
        "--workers", type=int, metavar="N", help="processes (default: one per core)"
    )
    _add_output(command)
    command.set_defaults(func=_prepare)


def _add_import(actions) -> None:
    from engram_sweep.corpus.own_text.token_files import KINDS

    summary = "take over token files of nanoGPT, llm.c or OLMo"
    command = actions.add_parser("import", help=summary, description=summary)
    command.add_argument("files", nargs="+", type=Path, metavar="FILE", help="token files")
    command.add_argument(
        "--validation",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="held-out token files (default: documents of the others are held out)",
    )
    command.add_argument(
        "--dtype",
        choices=KINDS,
        default="uint16",
        help="type of ids in files without a header (default: uint16)",
    )
    _add_tokenizer(command, default=None)
    _add_output(command)
    command.set_defaults(func=_import)


def _add_check(actions) -> None:
    summary = "samples, lengths, n-grams and table rows, overlap of train and held-out"
    command = actions.add_parser("check", help=summary, description=summary)
    command.add_argument("folder", type=Path, metavar="FOLDER", help="a folder of token shards")
    command.add_argument("--scale", help="epochs and n-grams per row in this scale, too")
    command.add_argument("--sweeps", type=Path, default=Path("sweeps"), help="folder of scales")
    command.add_argument("--json", action="store_true", help="one JSON object")
    command.set_defaults(func=_check)


def _add_tokenizer(command, default: str | None) -> None:
    shown = f" (default: {default})" if default else ""
    command.add_argument(
        "--tokenizer",
        default=default,
        required=default is None,
        metavar="TOKENIZER",
        help=f"bytes, deepseek-v3, or the path of a tokenizer.json{shown}",
    )


def _add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--document-end",
        metavar="TOKEN",
        help="token, or its id, that ends documents (default: looked for in the tokenizer.json)",
    )
    command.add_argument(
        "--validation-share",
        type=float,
        default=0.03,
        metavar="SHARE",
        help="share of the tokens that is held out, as whole documents (default: 0.03)",
    )
    command.add_argument(
        "--to", metavar="NAME", help="name of the corpus and its scale (default: the input's)"
    )
    command.add_argument(
        "--licence", default="not stated", help="terms of the text, for the manifest"
    )
    command.add_argument(
        "--like", default="tiny", metavar="SCALE", help="whose geometry to take (default: tiny)"
    )
    command.add_argument(
        "--data", type=Path, default=Path("data"), help="folder of all corpora (default: data)"
    )
    command.add_argument(
        "--sweeps", type=Path, default=Path("sweeps"), help="folder of scales (default: sweeps)"
    )


def _prepare(options: argparse.Namespace) -> int:
    from engram_sweep.cli.data_view import Bar
    from engram_sweep.corpus.own_text.documents import Inputs
    from engram_sweep.corpus.own_text.prepare import Request, prepare_text

    name = _name(options, options.inputs[0])
    _check_template(options, name)
    inputs = Inputs(tuple(options.inputs), options.text_key)
    request = Request(inputs, _tokenizer(options), _share(options), options.licence)
    with Bar() as bar, _writing(options.data):
        shards = prepare_text(request, options.data / name, _workers(options), bar.progress)
    return _finish(options, name, shards, options.validation_share)


def _import(options: argparse.Namespace) -> int:
    from engram_sweep.corpus.own_text.token_files import TokenRequest, import_tokens
    from engram_sweep.corpus.own_tokenizer import read_tokenizer

    name = _name(options, str(options.files[0]))
    _check_template(options, name)
    request = TokenRequest(
        train=tuple(options.files),
        validation=tuple(options.validation),
        kind=options.dtype,
        tokenizer=read_tokenizer(options.tokenizer, options.document_end),
        validation_share=_share(options),
        licence=options.licence,
    )
    with _writing(options.data):
        shards = import_tokens(request, options.data / name)
    asked = None if options.validation else options.validation_share
    return _finish(options, name, shards, asked)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Name the folder of all corpora in an error that names none, as that of a full disk.

    Raises:
        UserError: in place of that error.
    """
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        if error.filename is not None:
            raise
        raise UserError(f"{folder}: cannot be written: {error.strerror or error}") from None


def _check(options: argparse.Namespace) -> int:
    import json

    from engram_sweep.cli.data_view import print_survey
    from engram_sweep.config.scale import load_scale
    from engram_sweep.corpus.shards import own_shards
    from engram_sweep.corpus.survey import survey
    from engram_sweep.planning.plan import make_plan

    plan: Plan | None = None
    if options.scale is not None:
        plan = make_plan(load_scale(options.scale, options.sweeps))
    found = survey(own_shards(options.folder))
    if options.json:
        uses = _uses(plan, found.train_tokens) if plan else []
        print(json.dumps(found.as_dict() | {"scale": uses}, allow_nan=False))
        return 0
    print_survey(found, _uses(plan, found.train_tokens) if plan else [])
    return 0


def _name(options: argparse.Namespace, first: str) -> str:
    """Return the name of the corpus: as asked, or the first input's.

    Raises:
        UserError: it is no name of a scale.
    """
    named = re.split(r"[/:]", first.rstrip("/"))[-1].split(".")[0]
    name = options.to or re.sub(r"[^A-Za-z0-9_-]+", "-", named).strip("-_")
    return scale_name(name)


def _check_template(options: argparse.Namespace, name: str) -> None:
    """Refuse a scale to start from that is not there, before hours of work."""
    from engram_sweep.config.scale import load_scale

    if not (options.sweeps / f"{name}.yaml").exists():
        load_scale(options.like, options.sweeps)


def _share(options: argparse.Namespace) -> float:
    if not 0 < options.validation_share < 1:
        raise UserError(
            f"--validation-share: expected a share between 0 and 1, got {options.validation_share}"
        )
    return options.validation_share


def _workers(options: argparse.Namespace) -> int:
    if options.workers is None:
        return len(os.sched_getaffinity(0))
    if options.workers < 1:
        raise UserError(f"--workers: expected at least 1, got {options.workers}")
    return options.workers


def _tokenizer(options: argparse.Namespace) -> str | OwnTokenizer | int:
    """Return the tokenizer that is asked for, or the size of one to train."""
    from engram_sweep.corpus.own_tokenizer import MAX_BPE, MIN_BPE, read_tokenizer

    if options.train_bpe is None:
        return read_tokenizer(options.tokenizer, options.document_end)
    if options.document_end is not None:
        raise UserError("--document-end: expected no such option beside --train-bpe")
    if not MIN_BPE <= options.train_bpe <= MAX_BPE:
        raise UserError(
            f"--train-bpe: expected {MIN_BPE} to {MAX_BPE:,} ids, got {options.train_bpe}"
        )
    return options.train_bpe


def _finish(options: argparse.Namespace, name: str, shards: Shards, asked: float | None) -> int:
    """Write the scale of a corpus, or say what to put into the one that is there."""
    from engram_sweep.cli.data_view import print_made
    from engram_sweep.config.own_scale import as_yaml, corpus_section, write_scale_like
    from engram_sweep.config.scale import load_scale

    folder, path = options.data / name, options.sweeps / f"{name}.yaml"
    section = corpus_section(shards.manifest, len(shards.compression))
    print_made(folder, shards, asked)
    made = write_scale_like(options.like, path, section, str(folder))
    if made is None:
        found = load_scale(name, options.sweeps).corpus
        if found.fingerprint != shards.manifest.fingerprint:
            print(f"{path} is there and has another corpus; to train on this one, put into it:\n")
            print(as_yaml("corpus", section) + as_yaml("launch", {"corpus_path": str(folder)}))
            return 0
    print(
        f"{path}: the scale, like {options.like}\n\n"
        f"    make plan SCALE={name}     # what it trains and what it costs\n"
        f"    make sweep SCALE={name}    # train it, draw it"
        if made
        else f"{path} names it already; make sweep SCALE={name} trains it"
    )
    return 0


def _uses(plan: Plan, train_tokens: int) -> list[dict[str, float | int | list[int] | None]]:
    """Return what each distinct model of a plan makes of the corpus: epochs, rows per head."""
    uses = {}
    for run in plan.runs:
        row = run.row()
        key = (row["rho"], row["arm"], row["tokens"])
        uses[key] = {
            "arm": row["arm"],
            "rho": row["rho"],
            "tokens": row["tokens"],
            "epochs": row["tokens"] / train_tokens,
            "rows_per_head": row["rows_per_head"],
        }
    return list(uses.values())
