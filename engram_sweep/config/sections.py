"""The sections of a scale that say what every run of it trains: corpus, model, memory, training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from engram_sweep.config.strict_yaml import Section
from engram_sweep.corpus.own_tokenizer import OWN
from engram_sweep.corpus.sources import SHARDS, SOURCES
from engram_sweep.corpus.tokenizer import TOKENIZERS

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Beta = Annotated[float, Field(ge=0, lt=1)]
MIN_EPSILON = 1e-30
"""Far above the smallest number that float32 tells from zero, 1e-38."""


def _tells_from_zero(value: float) -> float:
    if not value >= MIN_EPSILON:
        # Pydantic's own message writes the limit out, with all its zeros.
        raise PydanticCustomError(
            "epsilon", "expected at least {least}", {"least": f"{MIN_EPSILON:g}"}
        )
    return value


Epsilon = Annotated[float, AfterValidator(_tells_from_zero)]


@dataclass(frozen=True)
class Vocabulary:
    """What a plan needs to know of a tokenizer."""

    size: int
    pad_id: int
    """Stands in for what lies before a window."""
    document_end: int


class Corpus(Section):
    """Which text, and how much of it is held out as whole documents."""

    source: str
    """A corpus that installs as a package, or `shards`: a folder that is named at launch."""
    tokenizer: str
    """`bytes`, `deepseek-v3`, or `shards`: the `tokenizer.json` that lies with your own shards."""
    validation_share: Annotated[float, Field(gt=0, lt=1)]
    fingerprint: str | None = None
    """Expected fingerprint of the token shards; with `shards`, a launch asks for it."""
    vocab_size: Count | None = None
    """Ids of the tokenizer `shards`; others have their own."""
    document_end: Annotated[int, Field(ge=0)] | None = None
    """The id by which the tokenizer `shards` ends documents; it also pads."""

    @model_validator(mode="after")
    def _known(self) -> Corpus:
        own = {OWN} if self.source == SHARDS else set()
        for key, value, known in (
            ("source", self.source, {SHARDS, *SOURCES}),
            ("tokenizer", self.tokenizer, {*TOKENIZERS, *own}),
        ):
            if value not in known:
                raise ValueError(
                    f"{key}: expected one of {', '.join(sorted(known))}, got {value!r}"
                )
        for key in ("vocab_size", "document_end"):
            if (getattr(self, key) is None) == (self.tokenizer == OWN):
                raise ValueError(f"{key}: expected this key exactly if tokenizer is {OWN}")
        if self.document_end is not None and self.document_end >= self.vocabulary.size:
            raise ValueError(
                f"document_end: expected less than vocab_size ({self.vocab_size}), got "
                f"{self.document_end}"
            )
        return self

    @property
    def vocabulary(self) -> Vocabulary:
        """Return the sizes and special ids of the tokenizer."""
        if self.vocab_size is not None and self.document_end is not None:
            return Vocabulary(self.vocab_size, self.document_end, self.document_end)
        known = TOKENIZERS[self.tokenizer]
        return Vocabulary(known.vocab_size, known.pad_id, known.document_end)


Aligned = Annotated[int, Field(ge=8, multiple_of=8)]
"""Widths that grouped matrix products run over: their rows must be 16-byte aligned, in bf16 too."""
Even = Annotated[int, Field(ge=2, multiple_of=2)]


class MLA(Section):
    """Multi-head latent attention, by the names of DeepSeek's published configs."""

    q_lora_rank: Annotated[int, Field(ge=0)] = 0
    """0 projects queries straight from the hidden state."""
    kv_lora_rank: Count
    qk_nope_head_dim: Count
    qk_rope_head_dim: Even
    v_head_dim: Count


class Model(Section):
    """The backbone at rho = 1.

    Along rho only routed experts change and, under `iso: strict`, shared widths.
    """

    d_model: Aligned
    n_layers: Count
    n_heads: Count
    n_kv_heads: Count | None = None
    """Key/value heads of grouped-query attention; `n_heads` if left out."""
    head_dim: Even | None = None
    mla: MLA | None = None
    """Multi-head latent attention instead of grouped-query attention; it sets the head widths."""
    streams: Annotated[int, Field(ge=1, le=16)] = 1
    """Residual streams (mHC); 1 is the plain residual."""
    expert_width: Aligned
    routed_experts: Count
    top_k: Count
    shared_width: Annotated[int, Field(ge=0)]
    dense_layers: Annotated[int, Field(ge=0)] = 0
    dense_width: Annotated[int, Field(ge=0)] = 0
    rope_theta: Positive = 10_000.0
    norm_eps: Epsilon = 1e-5
    """Added to the mean square in every RMSNorm; arXiv 2512.24880, Table 5, prints 1e-20."""
    routed_scaling_factor: Positive = 1.0
    """Multiplies the routed experts' sum; DeepSeek-V3 (arXiv 2412.19437) has 2.5."""
    init_std: Positive = 0.02

    @model_validator(mode="after")
    def _fits(self) -> Model:
        if self.top_k >= self.routed_experts:
            raise ValueError(
                f"top_k: expected less than routed_experts ({self.routed_experts}), got "
                f"{self.top_k}"
            )
        if self.mla is None and self.head_dim is None:
            raise ValueError("head_dim: expected this key (or mla), it is missing")
        if self.mla is not None and (self.head_dim is not None or self.n_kv_heads is not None):
            raise ValueError(
                "mla: expected neither head_dim nor n_kv_heads beside it, its own keys set the "
                "heads"
            )
        if self.n_kv_heads is not None and self.n_heads % self.n_kv_heads:
            raise ValueError(
                f"n_kv_heads: expected a divisor of n_heads ({self.n_heads}), got {self.n_kv_heads}"
            )
        if self.dense_layers >= self.n_layers:
            raise ValueError(
                f"dense_layers: expected less than n_layers ({self.n_layers}), got "
                f"{self.dense_layers}"
            )
        if bool(self.dense_layers) != bool(self.dense_width):
            raise ValueError("dense_width: expected a width exactly where dense_layers is above 0")
        return self


class Memory(Section):
    """The Engram modules (paper section 2)."""

    layers: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1, strict=False)]
    max_order: Annotated[int, Field(ge=2)] = 3
    heads: Count = 8
    head_dim: Count
    conv_kernel: Count = 4
    signed_sqrt: bool = False
    compress_tokenizer: bool = True
    hash_seed: Annotated[int, Field(ge=0)] = 0
    init_std: Annotated[float, Field(ge=0)] = 0.02
    reset_at_documents: bool = False
    """N-grams do not reach behind the token that ends a document; the released demo's do."""

    @model_validator(mode="after")
    def _ordered(self) -> Memory:
        if list(self.layers) != sorted(set(self.layers)):
            raise ValueError(f"layers: expected ascending distinct blocks, got {list(self.layers)}")
        return self


class Training(Section):
    """How every point is trained; the same for all of them."""

    tokens: Count | None = None
    """Training tokens of a run; left out if `sweep.tokens_per_active` or `budgets` sets them."""
    window: Count
    batch_windows: Count
    learning_rate: Positive
    table_learning_rate_factor: Positive = 5.0
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    betas: Annotated[tuple[Beta, Beta], Field(strict=False)] = (0.9, 0.95)
    eps: Epsilon = 1e-8
    """Of AdamW and the tables' Adam; arXiv 2512.24880, Table 5, prints 1e-20."""
    schedule: Literal["cosine", "wsd", "step"] = "cosine"
    warmup_share: Share = 0.03
    final_share: Share = 0.1
    decay_share: Share = 0.2
    clip_norm: Positive = 1.0
    balance_rate: Annotated[float, Field(ge=0)] = 1e-3
    balance_loss: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the sequence-wise balance loss (DeepSeek-V3, Eq. 17), per expert and top_k."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    table_optimizer: Literal["adam", "lazy_adam"] = "adam"
    """`adam`: as under dense Adam (paper Appendix A); `lazy_adam` freezes rows between look-ups."""
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False

    @model_validator(mode="after")
    def _rows_come_to_rest(self) -> Training:
        b1, b2 = self.betas
        if self.table_optimizer == "adam" and b1 * b1 >= b2:
            raise ValueError(
                "betas: expected the first below the root of the second with table_optimizer: "
                f"adam, or rows move on for good after their last gradient, got {[b1, b2]}"
            )
        return self
