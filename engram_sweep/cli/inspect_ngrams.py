"""`engram-sweep inspect ngrams`: which rows a text hits.

By default with the released demo's settings, and then with its integers.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engram_sweep.cli import inspect_engram
from engram_sweep.corpus.tokenizer import TOKENIZERS, cached_compression
from engram_sweep.errors import UserError
from engram_sweep.planning.primes import demo_rows
from engram_sweep.spec import EngramGeometry


@dataclass(frozen=True)
class NgramView:
    """The n-gram rows of one text."""

    classes: int
    """Distinct compressed ids of the tokenizer, |V'|."""
    ids: list[int]
    """Token ids of the text."""
    compressed: list[int]
    """Their compressed ids; n-gram keys are made of these."""
    pieces: list[str]
    """The tokens as text."""
    max_order: int
    heads: int
    layers: dict[int, tuple[list[int], list[list[int]]]]
    """Layer -> primes (orders x heads, flat), rows (T x orders x heads)."""

    def as_json(self) -> str:
        """Return one JSON object: classes, ids, and `layers`, each with its primes and its rows."""
        layers = {
            str(layer): {"primes": primes, "rows": rows}
            for layer, (primes, rows) in self.layers.items()
        }
        return json.dumps(
            {
                "classes": self.classes,
                "ids": self.ids,
                "compressed": self.compressed,
                "layers": layers,
            }
        )

    def as_text(self) -> str:
        """Return each position's n-grams and rows, then what shares a row: repeats, collisions."""
        lines = [f"{len(self.ids)} tokens; the tokenizer's ids fall into {self.classes:,} classes"]
        for layer, (primes, rows) in self.layers.items():
            lines.append(f"layer {layer}: rows per head {primes[0]:,} to {primes[-1]:,}")
            for t, at in enumerate(rows):
                for order in range(2, self.max_order + 1):
                    own = at[(order - 2) * self.heads : (order - 1) * self.heads]
                    lines.append(
                        f"  {t:>4}  {self._ngram(t, order):<40} rows "
                        f"{' '.join(f'{row:,}' for row in own)}"
                    )
            lines += self._collisions(layer)
        return "\n".join(lines)

    def _key(self, t: int, order: int) -> tuple[int | None, ...]:
        """Compressed ids of the n-gram that ends at t; None lies before the text."""
        return tuple(self.compressed[i] if i >= 0 else None for i in range(t - order + 1, t + 1))

    def _ngram(self, t: int, order: int) -> str:
        return " + ".join(
            repr(self.pieces[i]) if i >= 0 else "(pad)" for i in range(t - order + 1, t + 1)
        )

    def _collisions(self, layer: int) -> list[str]:
        """N-grams that differ and share a row of one head, by head."""
        primes, rows = self.layers[layer]
        lines, repeats = [], 0
        for column in range(len(primes)):
            order = 2 + column // self.heads
            hits: dict[int, dict[tuple[int | None, ...], int]] = defaultdict(dict)
            for t, at in enumerate(rows):
                key = self._key(t, order)
                repeats += column == 0 and key in hits[at[column]]
                hits[at[column]].setdefault(key, t)
            for row, keys in hits.items():
                if len(keys) > 1:
                    who = " and ".join(self._ngram(t, order) for t in keys.values())
                    lines.append(
                        f"  collision: order {order}, head {column % self.heads}, row {row:,}: "
                        f"{who}"
                    )
        return [
            *lines,
            f"  collisions between different n-grams: {len(lines)}; 2-grams that repeat: {repeats}",
        ]


def view_ngrams(
    tokenizer: str,
    layers: tuple[int, ...],
    rows: int,
    heads: int,
    max_order: int,
    text: str,
    seed: int,
    cache: Path,
) -> NgramView:
    """Hash a text as the released demo does.

    Args:
        tokenizer: a name in `TOKENIZERS`.
        layers: 0-based layer ids, in the demo's order: their tables share no prime.
        rows: wanted rows per head; the primes start there.
        heads: heads per order.
        max_order: orders 2..max_order.
        text: what to hash.
        seed: hash seed.
        cache: folder for the tokenizer's compression map.
    """
    import torch

    from engram_sweep.model.ngrams import NgramRows

    chosen = TOKENIZERS[tokenizer]
    classes = cached_compression(chosen, tokenizer, cache)
    ids = chosen.encode(text).astype(np.int64)
    # Only what the hash reads matters here; the rest of the geometry is the smallest there is.
    memory = EngramGeometry(
        layers=layers,
        max_order=max_order,
        heads=heads,
        head_dim=1,
        rows=demo_rows(len(layers), rows, heads, max_order),
        conv_kernel=1,
        signed_sqrt=False,
        compress_tokenizer=True,
        pad_id=chosen.pad_id,
        hash_seed=seed,
        init_std=0.0,
        document_end=None,
    )
    hashed = {}
    for index, layer in enumerate(layers):
        module = NgramRows(memory, index, torch.from_numpy(classes), len(classes))
        primes = [prime for order in memory.rows[index] for prime in order]
        hashed[layer] = (primes, module.hash(torch.from_numpy(ids)[None])[0].flatten(1).tolist())
    return NgramView(
        classes=int(classes.max()) + 1,
        ids=ids.tolist(),
        compressed=classes[ids].tolist(),
        pieces=[chosen.piece(int(token))[0] for token in ids],
        max_order=max_order,
        heads=heads,
        layers=hashed,
    )


def register(commands) -> None:
    """Add `inspect` to the command line: `ngrams`, and `engram`."""
    summary = "look inside: which rows of the n-gram tables a text hits"
    views = commands.add_parser("inspect", help=summary, description=summary).add_subparsers(
        dest="view", required=True, metavar="VIEW"
    )
    inspect_engram.add_view(views)
    command = views.add_parser("ngrams", help=summary, description=summary)
    command.add_argument("--text", required=True, help="the text to hash")
    command.add_argument(
        "--tokenizer", default="deepseek-v3", help="one of " + ", ".join(sorted(TOKENIZERS))
    )
    command.add_argument(
        "--layers", type=_layers, default=(1, 15), help="0-based layers, by commas (default: 1,15)"
    )
    command.add_argument(
        "--rows", type=_between(2, 10**12), default=646_400, help="rows per head (default: 646400)"
    )
    command.add_argument(
        "--heads", type=_between(1, 256), default=8, help="heads per order (default: 8)"
    )
    command.add_argument(
        "--max-order", type=_between(2, 64), default=3, help="orders 2..N (default: 3)"
    )
    command.add_argument(
        "--seed", type=_between(0, 2**63 - 1), default=0, help="hash seed (default: 0)"
    )
    command.add_argument(
        "--results", type=Path, default=Path("results"), help="results folder (default: results)"
    )
    command.add_argument("--json", action="store_true", help="one JSON object")
    command.set_defaults(func=_run)


def _run(options: argparse.Namespace) -> int:
    if options.tokenizer not in TOKENIZERS:
        raise UserError(
            f"--tokenizer: expected one of {', '.join(sorted(TOKENIZERS))}, got "
            f"{options.tokenizer!r}"
        )
    view = view_ngrams(
        options.tokenizer,
        options.layers,
        options.rows,
        options.heads,
        options.max_order,
        options.text,
        options.seed,
        options.results / "corpora",
    )
    print(view.as_json() if options.json else view.as_text())
    return 0


def _layers(text: str) -> tuple[int, ...]:
    layers = tuple(_between(0, 10_000)(part) for part in text.split(","))
    if len(set(layers)) != len(layers):
        raise argparse.ArgumentTypeError(f"expected distinct layers, got {text}")
    return layers


def _between(lowest: int, highest: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        try:
            value = int(text.replace("_", ""))
        except ValueError:
            value = lowest - 1
        if not lowest <= value <= highest:
            raise argparse.ArgumentTypeError(
                f"expected an integer of at least {lowest}, at most {highest}, got {text[:60]!r}"
            )
        return value

    return number
