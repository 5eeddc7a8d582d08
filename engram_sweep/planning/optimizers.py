"""Facts of the optimizers, without torch: the price of a sweep and the trainer both read them.

`training.optimizer` of a scale chooses who trains the matrices of the blocks, and
`training.table_optimizer` who trains the n-gram tables; AdamW trains the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

from engram_sweep.planning.ledger import Entry
from engram_sweep.spec import TrainingSpec

ADAM_BYTES = 8
"""State of Adam per parameter: two float32 moments."""


@dataclass(frozen=True, kw_only=True)
class OptimizerFacts:
    """One choice of `training.optimizer`."""

    key: str
    """Its name in YAML and specs."""
    matrix_bytes: int | None
    """Bytes of its state per parameter of the blocks' matrices; None leaves them to AdamW."""


OPTIMIZERS: dict[str, OptimizerFacts] = {
    facts.key: facts
    for facts in (
        OptimizerFacts(key="adamw", matrix_bytes=None),
        # One float32 momentum.
        OptimizerFacts(key="muon", matrix_bytes=4),
    )
}
"""Every optimizer by its key; `engram_sweep.training.optimizers.MATRIX_BUILDERS` builds them."""


@dataclass(frozen=True, kw_only=True)
class TableOptimizerFacts:
    """One choice of `training.table_optimizer`."""

    key: str
    """Its name in YAML and specs."""
    row_bytes: int
    """Bytes of its state per row, beside two float32 moments per parameter."""


TABLE_OPTIMIZERS: dict[str, TableOptimizerFacts] = {
    facts.key: facts
    for facts in (
        # The last step that a row knows of, int32.
        TableOptimizerFacts(key="adam", row_bytes=4),
        TableOptimizerFacts(key="lazy_adam", row_bytes=0),
    )
}
"""Every table optimizer by its key; `engram_sweep.training.optimizers.TABLE_BUILDERS` builds it."""


def is_matrix(entry: Entry) -> bool:
    """Return whether a tensor is a linear map of the blocks or of over-encoding."""
    inside = entry.name.startswith(("blocks.", "over_encoding.")) and entry.part not in (
        "norm",
        "table",
    )
    # Norms and convolutions of several streams have two dimensions and are no linear maps.
    linear = not any(word in entry.name for word in ("norm", "conv"))
    return inside and linear and len(entry.shape) > 1


def state_bytes(training: TrainingSpec, entry: Entry) -> int:
    """Return the bytes of optimizer state of a tensor.

    Args:
        training: names the optimizers.
        entry: the tensor.
    """
    if entry.part == "table":
        row_bytes = TABLE_OPTIMIZERS[training.table_optimizer].row_bytes
        return ADAM_BYTES * entry.count + row_bytes * entry.shape[0]
    own = OPTIMIZERS[training.optimizer].matrix_bytes
    return (ADAM_BYTES if own is None or not is_matrix(entry) else own) * entry.count
