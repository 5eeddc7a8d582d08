"""A scale like another one, on a user's own text: the YAML with its corpus section filled."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from engram_sweep.atomic_files import read_plain, write_atomically
from engram_sweep.config.scale import Scale, load_scale
from engram_sweep.corpus.manifest import Manifest
from engram_sweep.corpus.own_tokenizer import OWN
from engram_sweep.corpus.sources import SHARDS
from engram_sweep.errors import UserError


def corpus_section(manifest: Manifest, vocab_size: int) -> dict[str, Any]:
    """Return the `corpus` section of a scale that trains on a shard folder.

    Args:
        manifest: of the shards.
        vocab_size: V.
    """
    tokens = manifest.train_tokens + manifest.validation_tokens
    section = {
        "source": SHARDS,
        "tokenizer": manifest.tokenizer,
        "validation_share": float(f"{manifest.validation_tokens / tokens:.4g}"),
        "fingerprint": manifest.fingerprint,
    }
    if manifest.tokenizer == OWN:
        section |= {"vocab_size": vocab_size, "document_end": manifest.document_end}
    return section


def as_yaml(key: str, section: dict[str, Any]) -> str:
    """Return one section as YAML, a line a key."""
    lines = [f"  {name}: {_value(value)}\n" for name, value in section.items()]
    return f"{key}:\n{''.join(lines)}"


def _value(value: object) -> str:
    """Return a value as YAML; a fingerprint of digits is a text, not a number."""
    if isinstance(value, str) and re.fullmatch(r"[a-z][a-z0-9-]+", value):
        return value
    return json.dumps(value, ensure_ascii=False)


def scale_like(template: str, name: str, corpus: dict[str, Any], corpus_path: str) -> str:
    """Return the text of a scale with another corpus.

    Args:
        template: the other scale's text; its comments stay, but for those above its first key.
        name: what the template is called.
        corpus: the `corpus` section.
        corpus_path: the shard folder, for `launch.corpus_path`.
    """
    body = _without(template, r"about:")
    body = re.sub(r"\A(?:#.*\n|\s*\n)*", "", body)
    body = re.sub(r"^  corpus_path:.*\n", "", body, flags=re.MULTILINE)
    body = _without(body, r"corpus:")
    body = re.sub(
        r"^(launch:.*\n)",
        lambda found: f"{found[1]}  corpus_path: {json.dumps(corpus_path)}\n",
        body,
        count=1,
        flags=re.MULTILINE,
    )
    about = json.dumps(f"own text ({corpus_path}), otherwise like {name}", ensure_ascii=False)
    return (
        f"# Written by engram-sweep data. Everything below corpus: is that of {name}.yaml; it is "
        f"yours to change.\nabout: {about}\n\n{as_yaml('corpus', corpus)}\n{body.lstrip()}"
    )


def _without(text: str, key: str) -> str:
    """Return YAML without one top-level key and all that is indented below it."""
    return re.sub(rf"^{key}.*\n(?:[ \t]+.*\n|[ \t]*\n(?=[ \t]))*", "", text, flags=re.MULTILINE)


def write_scale_like(
    template: str, path: Path, corpus: dict[str, Any], corpus_path: str
) -> Scale | None:
    """Write a scale like another of the same folder, unless the file is there.

    Args:
        template: name of the other scale.
        path: the new file.
        corpus: the `corpus` section.
        corpus_path: the shard folder.

    Returns:
        The scale; None if the file is there, which is left as it is.

    Raises:
        UserError: there is no such template, or it cannot be planned with this corpus.
    """
    if path.exists():
        return None
    load_scale(template, path.parent)
    source = read_plain(path.parent / f"{template}.yaml").decode("utf8")
    text = scale_like(source, template, corpus, corpus_path)
    # Read before it takes its place: what a user finds there is valid.
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / path.name).write_text(text, "utf8")
        try:
            scale = load_scale(path.stem, Path(folder))
        except UserError as error:
            problem = str(error).removeprefix(folder).lstrip("/")
            raise UserError(f"{template}.yaml cannot take this corpus: {problem}") from None
    write_atomically(path, lambda temporary: temporary.write_text(text, "utf8"))
    return scale
