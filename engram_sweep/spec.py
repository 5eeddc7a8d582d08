"""What one run is, resolved to the last number: frozen objects, canonical JSON, identity.

A field with a default was added after runs had been published: at its default it is left out of the
canonical JSON, so that the ids of runs from before it stay what they are, and reading fills it in.

Standard library and xxhash only: workers on a bare GPU node read it too.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

import xxhash

SPEC_SCHEMA = 2
"""Rises when the meaning of a stored spec changes: an old record is never taken for a new run."""


@dataclass(frozen=True, kw_only=True)
class EngramGeometry:
    """The n-gram memory of one model (paper section 2).

    `rows[i][o][h]` is the number of rows of head h of order `o + 2` in the i-th Engram layer. In
    the arm `over_encoding` projected rows are averaged into the input embedding: one pseudo-layer,
    `head_dim` = d_model // (max_order * heads).
    """

    layers: tuple[int, ...]
    """0-based blocks with a module; empty for over_encoding, whose memory sits at the input."""
    max_order: int
    """Suffix n-grams of orders 2..max_order."""
    heads: int
    """Hash heads per order (K)."""
    head_dim: int
    """Width of one row; d_memory = (max_order - 1) * heads * head_dim."""
    rows: tuple[tuple[tuple[int, ...], ...], ...]
    conv_kernel: int
    """Taps of the short convolution; 0 for none."""
    signed_sqrt: bool
    """The released demo's signed square root before the gate's sigmoid; not in the paper."""
    compress_tokenizer: bool
    """Merge equivalent surface forms before building n-gram keys (paper section 2.2)."""
    pad_id: int
    """Token that stands in for what lies before the window."""
    hash_seed: int
    init_std: float
    """Standard deviation of the rows at the start (the paper does not print one)."""
    document_end: int | None
    """Token behind which no n-gram reaches back; None reaches across documents, as in the demo."""
    gate: bool = True
    """False adds values as they are, as under a gate of one."""
    fusion: Literal["branches", "single"] = "branches"
    """With several residual streams: W_K, norms, gate and taps for each, or one set for all."""

    @property
    def orders(self) -> tuple[int, ...]:
        """The n-gram orders, 2..max_order."""
        return tuple(range(2, self.max_order + 1))

    @property
    def lookups(self) -> int:
        """Rows that one token looks up in one layer, one for each order and head."""
        return len(self.orders) * self.heads

    @property
    def d_memory(self) -> int:
        """Width of the concatenated rows e_t of one layer."""
        return self.lookups * self.head_dim

    def table_rows(self, index: int) -> int:
        """Rows of the `index`-th table, all orders and heads."""
        return sum(sum(order) for order in self.rows[index])


@dataclass(frozen=True, kw_only=True)
class MLAGeometry:
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1), in its names."""

    q_lora_rank: int
    """Rank of the query projection; 0 projects from the hidden state (as DeepSeek-V2-Lite)."""
    kv_lora_rank: int
    """Width of the latent that keys and values are made from."""
    qk_nope_head_dim: int
    """Per head, the part of queries and keys without position."""
    qk_rope_head_dim: int
    """Per head, the rotated part; its key is shared by all heads."""
    v_head_dim: int


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """The shape of one model. Everything that the ledger counts and the builder builds."""

    vocab_size: int
    d_model: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    """Grouped key/value heads; equals `n_heads` under MLA."""
    head_dim: int
    """Width of one head's query; under MLA both of its parts."""
    mla: MLAGeometry | None
    """None for grouped-query attention."""
    streams: int
    """Residual streams (n) of the hyper-connections mHC, arXiv 2512.24880; 1 is plain residual."""
    expert_width: int
    routed_experts: int
    """Per MoE layer; 0 in the dense arm."""
    top_k: int
    shared_width: tuple[int, ...]
    """Width of each layer's always-active gated FFN (shared experts or dense), by block."""
    dense_layers: int
    """Leading blocks without routed experts."""
    rope_theta: float
    norm_eps: float
    """Added to the mean square in every RMSNorm (1e-20 in arXiv 2512.24880, Table 5)."""
    routed_scaling_factor: float
    """Multiplies the routed experts' sum (DeepSeek-V3, arXiv 2412.19437: 2.5); 1 leaves it."""
    init_std: float
    memory: EngramGeometry | None
    memory_at_input: bool
    """True in the arm over_encoding only."""

    def is_moe(self, block: int) -> bool:
        """Return whether block `block` holds routed experts."""
        return self.routed_experts > 0 and block >= self.dense_layers


@dataclass(frozen=True, kw_only=True)
class CorpusSpec:
    """Which text, how it is cut into tokens, and what is held out."""

    source: str
    tokenizer: str
    validation_share: float
    fingerprint: str | None
    """xxh3_128 of the token shards that this sweep expects; None accepts what the package holds."""
    retrieval_share: float = 0.0
    """Share of the training tokens that are needles and chains (`corpus/retrieval.py`)."""
    retrieval_tokens: int = 128
    """Tokens of the longest such text."""


@dataclass(frozen=True, kw_only=True)
class TrainingSpec:
    """One training run. Learning rates are peaks; the schedule multiplies all of them alike."""

    tokens: int
    window: int
    """Tokens that one window predicts (T)."""
    batch_windows: int
    """Windows per optimizer step (B)."""
    learning_rate: float
    table_learning_rate_factor: float
    """Tables train at this multiple of `learning_rate` (paper Appendix A: 5)."""
    weight_decay: float
    betas: tuple[float, float]
    eps: float
    """Of AdamW and the tables' Adam (1e-20 in arXiv 2512.24880, Table 5); Muon has none."""
    schedule: str
    """`cosine`, `wsd` or `step`."""
    warmup_share: float
    final_share: float
    """Learning rate at the end over its peak."""
    decay_share: float
    """Share of the steps, the last ones, in which a WSD or step schedule decays."""
    clip_norm: float
    balance_rate: float
    """Step of the loss-free balancing bias, in units of the router's score."""
    balance_loss: float
    """Weight of the sequence-wise balance loss, normalised by experts and top_k; 0 for none."""
    optimizer: str
    """`adamw`, or `muon` for the matrices of the blocks."""
    table_optimizer: str
    """`adam`: every row as under dense Adam. `lazy_adam`: rows rest in steps that miss them."""
    precision: str
    """`fp32`, or `bf16`: autocast, with weights, tables, routers and stream maps in fp32."""
    compile: str
    """`on` runs the blocks through torch.compile, `off` does not, `auto` does if it can and pays.

    Part of the identity: it changes rounding. What `auto` did is in the record's `device`."""

    @property
    def steps(self) -> int:
        """Optimizer steps, the last one whole."""
        return max(1, round(self.tokens / (self.window * self.batch_windows)))


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One run, resolved. Where and when it runs is not part of it."""

    schema: int
    arm: str
    rho: float
    """Realised share of P_sparse in routed experts."""
    seed: int
    geometry: Geometry
    corpus: CorpusSpec
    training: TrainingSpec


def plain_data(value: Any) -> Any:
    """Return a spec as plain JSON data, without the fields that are at their default.

    Args:
        value: a spec dataclass, or plain data that may hold some.
    """
    if is_dataclass(value) and not isinstance(value, type):
        held = ((f, getattr(value, f.name)) for f in fields(value))
        return {f.name: plain_data(inner) for f, inner in held if _is_said(f, inner)}
    if isinstance(value, (tuple, list)):
        return [plain_data(inner) for inner in value]
    if isinstance(value, dict):
        return {key: plain_data(inner) for key, inner in value.items()}
    return value


def _is_said(field: Field, value: Any) -> bool:
    return field.default is MISSING or value != field.default


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a spec: sorted keys, no spaces, ASCII, shortest floats.

    Fields at their default are left out (`plain_data`).

    Args:
        value: a spec dataclass, or plain JSON data.
    """
    return json.dumps(
        plain_data(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def run_id(spec: RunSpec | dict[str, Any]) -> str:
    """xxh3_128 of the canonical JSON of the whole spec, 32 hex digits; the same on any machine.

    Args:
        spec: the spec, or its `plain_data`.
    """
    return xxhash.xxh3_128_hexdigest(canonical_json(spec).encode())


def from_json(cls: type, data: Any) -> Any:
    """Rebuild a spec dataclass from plain JSON data (lists become tuples).

    A key whose field has a default may be left out.

    Raises:
        ValueError: a key is missing or unknown, so the file was written by another version; or
            there are no keys.
    """
    if not is_dataclass(cls):
        return _coerce(cls, data)
    hints = get_type_hints(cls)
    names = {f.name for f in fields(cls)}
    needed = {f.name for f in fields(cls) if f.default is MISSING}
    if not isinstance(data, dict) or not needed <= set(data) <= names:
        found = sorted(data) if isinstance(data, dict) else data
        raise ValueError(f"{cls.__name__}: expected the keys {sorted(names)}, found {found!r:.80}")
    values = {}
    for name in data:
        try:
            values[name] = _field(hints[name], data[name])
        except TypeError as error:
            raise ValueError(f"{cls.__name__}: {name}: {error}") from None
    return cls(**values)


def _field(hint: Any, value: Any) -> Any:
    """Return one field; `X | None` is X unless the value is None."""
    args = get_args(hint)
    if type(None) in args:
        if value is None:
            return None
        hint = next(a for a in args if a is not type(None))
    return from_json(hint, value)


def _coerce(hint: Any, value: Any) -> Any:
    """Return a plain value as a tuple, dict, str, int, float or bool, as its hint says.

    Raises:
        TypeError: it is something else; text is no number, and true is no 1.
    """
    origin, args = get_origin(hint), get_args(hint)
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(from_json(args[0], v) for v in value)
    if origin is dict and isinstance(value, dict):
        return {key: from_json(args[1], v) for key, v in value.items()}
    if origin is Literal:
        if value not in args:
            raise TypeError(f"expected one of {list(args)}, found {value!r:.80}")
        return value
    if hint is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    if type(value) is not hint:
        name = getattr(origin or hint, "__name__", hint)
        raise TypeError(f"expected {name}, found {value!r:.80}")
    return value
