"""Facts of the optimizers, without torch: the price of a sweep and the trainer both read them.

AdamW trains whatever no other optimizer does; n-gram tables train under Adam always (paper Appendix
A). `training.optimizer` of a scale chooses who trains the matrices of the blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

from engram_sweep.planning.ledger import Entry

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


def is_matrix(entry: Entry) -> bool:
    """Return whether a tensor is a linear map of the blocks or of over-encoding."""
    inside = entry.name.startswith(("blocks.", "over_encoding.")) and entry.part not in (
        "norm",
        "table",
    )
    # Norms and convolutions of several streams have two dimensions and are no linear maps.
    linear = not any(word in entry.name for word in ("norm", "conv"))
    return inside and linear and len(entry.shape) > 1


def state_bytes(optimizer: str, entry: Entry) -> int:
    """Return the bytes of optimizer state per parameter of a tensor.

    Args:
        optimizer: a key of `OPTIMIZERS`.
        entry: the tensor.
    """
    own = OPTIMIZERS[optimizer].matrix_bytes
    return ADAM_BYTES if own is None or not is_matrix(entry) else own
