"""One text through one trained memory: rows that fired, gates, and what each order changed."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engram_sweep.corpus.survey import tokenizer_of
from engram_sweep.errors import UserError
from engram_sweep.inside.gates import watched_gates
from engram_sweep.inside.trained import Trained
from engram_sweep.model.engram import Engram


@dataclass(frozen=True)
class Strip:
    """What the memory does at each of T tokens of a text."""

    tokens: list[str]
    """As text; the last one is predicted only."""
    rows: dict[int, np.ndarray]
    """By block, (T, orders, heads) int64: rows in each head's table."""
    gates: dict[int, np.ndarray]
    """By block, (T, M): gate of each residual stream."""
    loss: np.ndarray
    """(T - 1,): loss of the token behind, nats."""
    without_order: dict[int, np.ndarray]
    """By order, (T - 1,): how much that loss rises if the order's rows are zeros, nats."""
    without: np.ndarray
    """(T - 1,): how much it rises if all rows are zeros, nats."""


@torch.inference_mode()
def read_strip(run: Trained, text: str) -> Strip:
    """Let a run read a text.

    Args:
        run: the run.
        text: at least two tokens, and no more than the run's window holds.

    Raises:
        UserError: the run has no Engram, or its tokenizer cannot read the text.
    """
    memory = run.spec.geometry.memory
    engrams = [m for m in run.model.modules() if isinstance(m, Engram)]
    if memory is None or not engrams:
        raise UserError(f"{run.folder}: expected a run with Engram modules, its arm is "
                        f"{run.spec.arm} at rho {run.spec.rho:g}")  # fmt: skip
    tokenizer, window = tokenizer_of(run.shards), run.spec.training.window
    try:
        ids = tokenizer.encode(text).astype(np.int64)
    except UnicodeEncodeError as error:
        raise UserError(f"--text: expected Unicode text, got {text[error.start]!r}") from None
    if not 2 <= len(ids) <= window + 1:
        raise UserError(
            f"--text: expected 2 to {window + 1} tokens (the run's window), got {len(ids)}"
        )
    tokens = torch.from_numpy(ids)[None]
    looked_up = [module.look_up(tokens) for module in engrams]
    with watched_gates(run.model) as watched:
        loss = _losses(run, tokens, looked_up)
    without_order = {
        order: _losses(run, tokens, [_zeroed(e, memory.orders.index(order), len(memory.orders))
                                     for e in looked_up]) - loss
        for order in memory.orders
    }  # fmt: skip
    nothing = [torch.zeros_like(e) for e in looked_up]
    return Strip(
        tokens=[tokenizer.piece(int(token))[0] for token in ids],
        rows={
            block: module.rows.hash(tokens)[0].numpy()
            for block, module in zip(memory.layers, engrams, strict=True)
        },
        gates={block: gate[0].numpy() for block, [gate] in watched.items()},
        loss=loss,
        without_order=without_order,
        without=_losses(run, tokens, nothing) - loss,
    )


def _losses(run: Trained, tokens: Tensor, looked_up: list[Tensor]) -> np.ndarray:
    """Return the loss of every token but the first, (T - 1,) nats."""
    logits = run.model(tokens, looked_up).float()[0, :-1]
    return F.cross_entropy(logits, tokens[0, 1:], reduction="none").numpy()


def _zeroed(e: Tensor, part: int, parts: int) -> Tensor:
    """Return e (B, T, d_memory) with one of its equal parts, an order's rows, put to zero."""
    pieces = list(e.chunk(parts, dim=-1))
    pieces[part] = torch.zeros_like(pieces[part])
    return torch.cat(pieces, dim=-1)


def strip_html(strip: Strip, name: str) -> str:
    """Return the strip as one page without outside requests, one row per token.

    Args:
        strip: what to show.
        name: of the run.
    """
    blocks = list(strip.rows)
    heads = ["token"]
    for block in blocks:
        heads += [f"block {block}: order {order} rows" for order in strip.without_order]
        heads += [f"gate {stream}" for stream in range(strip.gates[block].shape[1])]
    heads += ["next", "its loss", *(f"without order {order}" for order in strip.without_order)]
    heads.append("without memory")
    lines = [_line(strip, t) for t in range(len(strip.tokens))]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(name)}</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>What the memory does: {escape(name)}</h1>\n<p>{_WORDS}</p>\n<table><tr>"
        + "".join(f"<th>{escape(head)}</th>" for head in heads)
        + "</tr>\n" + "\n".join(lines) + "\n</table>\n</body></html>\n"
    )  # fmt: skip


_STYLE = (
    "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}"
    "td,th{padding:2px 8px;text-align:right;border-bottom:1px solid #ddd}"
    "td:first-child,.next{font-family:monospace;white-space:pre;text-align:left}"
)
_WORDS = (
    "Losses are of the next token, in nats. A gate is shaded as far as it is open; a change is "
    "blue if the rows lower that loss and yellow if they raise it."
)


def _line(strip: Strip, t: int) -> str:
    cells = [f"<td>{escape(repr(strip.tokens[t])[1:-1])}</td>"]
    for block, rows in strip.rows.items():
        cells += [f"<td>{' '.join(str(row) for row in order)}</td>" for order in rows[t]]
        cells += [_shaded(gate, "31,95,168", gate) for gate in strip.gates[block][t].tolist()]
    if t + 1 < len(strip.tokens):
        cells.append(f'<td class="next">{escape(repr(strip.tokens[t + 1])[1:-1])}</td>')
        cells.append(f"<td>{strip.loss[t]:.2f}</td>")
        for change in (*strip.without_order.values(), strip.without):
            rise = float(change[t])
            colour = "31,95,168" if rise > 0 else "242,184,75"
            cells.append(_shaded(rise, colour, min(1.0, abs(rise) / 3)))
    return f"<tr>{''.join(cells)}</tr>"


def _shaded(value: float, colour: str, strength: float) -> str:
    return f'<td style="background:rgba({colour},{strength:.2f})">{value:+.2f}</td>'
