"""Bytes on each GPU of a run, under one placement.

States are cut over the shards of a copy, n-gram tables over all processes. Beside them stands what
exists only for a while: blocks that are gathered for use, the gradient of a block before it is cut
again, activations of one micro-batch, logits of one chunk, the rows of a step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from engram_sweep.placement import Placement
from engram_sweep.planning.activations import (
    BYTES,
    block_bytes,
    head_bytes,
    logit_bytes,
    stream_bytes,
    work_bytes,
)
from engram_sweep.planning.kept_weights import WEIGHT_BYTES
from engram_sweep.planning.ledger import BACKWARD, Entry, Ledger
from engram_sweep.planning.optimizers import state_bytes
from engram_sweep.planning.plan import PlannedRun

GRADIENT_BYTES = 4
"""Gradients are float32, as weights are."""
LEFT_AT_GRADIENT = 0.6
"""Share of what a block keeps that is still there when its experts' gradients are whole.

Of traces (`engram_sweep.rehearsal`): the backward pass has been through the experts by then."""


@dataclass(frozen=True)
class MemoryBytes:
    """Bytes on the GPU of a run that holds most, at the moment when it holds most."""

    weights: int
    gradients: int
    optimizer: int
    tables: int
    """N-gram rows with their optimizer states; 0 if they lie in the memory of the host."""
    gathered: int
    """Whole blocks at work and on their way, and embedding and LM head."""
    block_gradient: int
    """Gradients that are whole: of the head, and of the block whose are summed and cut next."""
    activations: int
    """What one micro-batch keeps for its backward pass, and what a block works in."""
    logits: int
    rows: int
    """Rows that one step looks up, of all micro-batches, and their gradients."""

    @property
    def total(self) -> int:
        """All of them."""
        return sum(getattr(self, field.name) for field in fields(self))

    @property
    def states(self) -> int:
        """What stays from step to step: weights, gradients, optimizer states, tables."""
        return self.weights + self.gradients + self.optimizer + self.tables


def windows_of_process(run: PlannedRun, placement: Placement) -> int:
    """Return the windows of one step that each process trains."""
    return run.spec.training.batch_windows // placement.processes


def micro_windows(run: PlannedRun, placement: Placement) -> int:
    """Return the windows of one micro-batch, those of the whole step if there is but one."""
    return placement.micro_windows or windows_of_process(run, placement)


def memory_bytes(run: PlannedRun, placement: Placement) -> MemoryBytes:
    """Return the bytes on the GPU that holds most, the first of its shards, at its fullest moment.

    Moments of the last micro-batch are compared: the loss, with the logits of a chunk; each block
    as its backward pass begins; each block when the gradients of its experts are whole; the end,
    with those of embedding and head.
    """
    return max(_moments(run, placement), key=lambda moment: moment.total)


def _moments(run: PlannedRun, placement: Placement) -> Iterator[MemoryBytes]:
    g, precision = run.spec.geometry, run.spec.training.precision
    a = BYTES[precision]
    tokens = micro_windows(run, placement) * run.spec.training.window
    states = _states_of(run, placement)
    root, blocks = by_block(run.allocation.ledger, g.n_layers)
    # Only what is cut is gathered, and is its gradient whole beside the cut one.
    whole = WEIGHT_BYTES * (placement.shards > 1)
    head = g.vocab_size * g.d_model
    chunk = min(tokens, placement.loss_chunk or tokens)
    kept = [tokens * block_bytes(g, block, precision) for block in range(g.n_layers)]
    # What lies before each block, and behind the last.
    before = _before_blocks(run, placement, tokens * stream_bytes(g), kept, blocks)

    at_loss = before[-1] + tokens * (stream_bytes(g) + head_bytes(g, precision))
    copy = a * head if a < WEIGHT_BYTES else 0
    yield replace(
        states,
        gathered=whole * root + copy,
        block_gradient=GRADIENT_BYTES * head,
        activations=at_loss,
        logits=chunk * logit_bytes(g, precision),
    )
    # A chunk's gradient of the head, as its product gives it and in float32, beside the others'.
    yield replace(
        states,
        gathered=whole * root + copy,
        block_gradient=copy + 2 * GRADIENT_BYTES * head,
        activations=at_loss,
        logits=chunk * a * g.vocab_size,
    )
    for block, own in enumerate(blocks):
        # Under autocast products take copies; gathered experts are none that come on top.
        copies = a * own.dense if a < WEIGHT_BYTES else 0
        experts = a * own.routed if whole or a < WEIGHT_BYTES else 0
        yield replace(
            states,
            gathered=whole * (root + own.dense) + experts + copies,
            block_gradient=whole * head,
            activations=before[block] + kept[block] + tokens * work_bytes(g),
        )
        yield replace(
            states,
            gathered=whole * (root + own.dense) + copies,
            # As products give them, in float32 to be summed, and the part that comes back.
            block_gradient=whole * (head + own.dense)
            + (a + GRADIENT_BYTES) * own.routed
            + GRADIENT_BYTES * own.routed // placement.shards,
            activations=before[block] + int(LEFT_AT_GRADIENT * kept[block]),
        )
    yield replace(states, gathered=whole * root, block_gradient=2 * whole * root)


def _states_of(run: PlannedRun, placement: Placement) -> MemoryBytes:
    """Return what stays from step to step, and the rows of a step."""
    whole = [e for e in run.allocation.ledger.entries if e.shape and e.part != "table"]
    numbers = sum(largest_part(entry, placement.shards) for entry in whole)
    training = run.spec.training
    return MemoryBytes(
        weights=WEIGHT_BYTES * numbers,
        gradients=GRADIENT_BYTES * numbers,
        optimizer=sum(_cut(state_bytes(training, e), e, placement.shards) for e in whole),
        tables=table_bytes(run, placement.processes) - host_bytes(run, placement),
        gathered=0,
        block_gradient=0,
        activations=0,
        logits=0,
        rows=_row_bytes(run, placement),
    )


def _before_blocks(
    run: PlannedRun,
    placement: Placement,
    inputs: int,
    kept: list[int],
    blocks: list[BlockNumbers],
) -> list[int]:
    """Return what the forward pass has kept before each block, and behind the last.

    Recomputed blocks keep their input, others all that their backward pass needs: under autocast
    copies of their weights too, of experts only if nothing gathers them again.
    """
    a = BYTES[run.spec.training.precision]
    found = [0]
    for numbers, bytes_kept in zip(blocks, kept, strict=True):
        copied = numbers.dense + numbers.routed * (placement.shards == 1)
        whole = bytes_kept + (a * copied if a < WEIGHT_BYTES else 0)
        found.append(found[-1] + (inputs if placement.recompute else whole))
    return found


def largest_part(entry: Entry, parts: int) -> int:
    """Return the numbers of a tensor on the process that holds most, cut along its rows."""
    return _cut(entry.count, entry, parts)


def _cut(amount: int, entry: Entry, parts: int) -> int:
    """Return what the first of some parts has of an amount that lies evenly in a tensor's rows."""
    rows = entry.shape[0]
    return amount // rows * -(-rows // parts)


def table_bytes(run: PlannedRun, processes: int) -> int:
    """Return the bytes of rows and their states that the owner with most rows keeps."""
    return sum(
        _cut(WEIGHT_BYTES * entry.count + state_bytes(run.spec.training, entry), entry, processes)
        for entry in run.allocation.ledger.entries
        if entry.part == "table"
    )


def host_bytes(run: PlannedRun, placement: Placement) -> int:
    """Return what of a run's tables lies in the memory of the host, per process."""
    return table_bytes(run, placement.processes) if placement.tables == "host" else 0


@dataclass(frozen=True)
class BlockNumbers:
    """How many numbers lie in one block, by how they are gathered."""

    routed: int = 0
    """In stacked experts: gathered as products take them."""
    dense: int = 0
    """In all else but tables: gathered in float32."""


def by_block(ledger: Ledger, blocks: int) -> tuple[int, list[BlockNumbers]]:
    """Return the numbers outside of all blocks (embedding, head), and those of each block.

    Args:
        ledger: of the model; its tables are left out.
        blocks: how many it has.
    """
    root, found = 0, [BlockNumbers()] * blocks
    for entry in ledger.entries:
        words = entry.name.split(".")
        if words[0] != "blocks":
            root += entry.count * (entry.part != "table")
        elif entry.part == "routed":
            own = found[int(words[1])]
            found[int(words[1])] = replace(own, routed=own.routed + entry.count)
        elif entry.part != "table":
            own = found[int(words[1])]
            found[int(words[1])] = replace(own, dense=own.dense + entry.count)
    return root, found


def rows_per_process(run: PlannedRun, placement: Placement) -> int:
    """Return the rows that one process looks up in a step, of all tables."""
    tables = [entry for entry in run.allocation.ledger.entries if entry.part == "table"]
    tokens = windows_of_process(run, placement) * run.spec.training.window
    return sum(tokens * entry.activated // entry.shape[1] for entry in tables)


def _row_bytes(run: PlannedRun, placement: Placement) -> int:
    memory = run.spec.geometry.memory
    if memory is None:
        return 0
    # Values and gradients, as whoever asked and as the owner has them, were no row asked for twice.
    return rows_per_process(run, placement) * memory.head_dim * 4 * WEIGHT_BYTES


_STATES = ("weight", "gradient", "optimizer")


def components(run: PlannedRun, placement: Placement) -> list[dict[str, Any]]:
    """Return the ledger by component (tensors of one name in all blocks), with FLOPs and bytes.

    Args:
        run: whose ledger.
        placement: how it lies on its GPUs.

    Returns:
        One row a component: component, part, in_budget, tensors, params, activated, FLOPs per token
        flops_forward and flops_backward, and weight_, gradient_ and optimizer_bytes, in all and
        `_per_gpu`.
    """
    step = run.spec.training.window * run.spec.training.batch_windows
    rows: dict[str, dict[str, Any]] = {}
    for entry in run.allocation.ledger.entries:
        name = ".".join("*" if word.isdigit() else word for word in entry.name.split("."))
        row = rows.setdefault(
            name, {"component": name, "part": entry.part, "in_budget": entry.in_budget}
        )
        is_table = entry.part == "table"
        # A table's gradient is sparse: it holds the rows that one step looks up, at most.
        touched = min(entry.count, step * entry.activated) if is_table else entry.count
        parts = placement.processes if is_table else placement.shards
        moments = state_bytes(run.spec.training, entry)
        state = (WEIGHT_BYTES * entry.count, GRADIENT_BYTES * touched, moments)
        amounts = {
            "tensors": int(bool(entry.shape)),
            "params": entry.count,
            "activated": entry.activated,
            "flops_forward": entry.flops,
            "flops_backward": BACKWARD * entry.flops,
            **{f"{key}_bytes": size for key, size in zip(_STATES, state, strict=True)},
            **{
                f"{key}_bytes_per_gpu": -(-size // parts)
                for key, size in zip(_STATES, state, strict=True)
            },
        }
        for key, amount in amounts.items():
            row[key] = row.get(key, 0) + amount
    return list(rows.values())
