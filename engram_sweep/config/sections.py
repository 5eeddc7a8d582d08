"""The sections of a scale that say what every run of it trains: corpus, model, memory, training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from engram_sweep.config.strict_yaml import Section
from engram_sweep.corpus.own_tokenizer import OWN
from engram_sweep.corpus.retrieval import MIN_TOKENS
from engram_sweep.corpus.sources import SHARDS, SOURCES
from engram_sweep.corpus.tokenizer import TOKENIZERS

Share = Annotated[float, Field(ge=0, le=1)]
# Upper bounds are far above any use: beyond them a plan takes all memory, or numbers that no float
# holds.
MAX_COUNT = 10**9
Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
CountFrom0 = Annotated[int, Field(ge=0, le=MAX_COUNT)]
MAX_WIDTH = 10**7
Width = Annotated[int, Field(ge=1, le=MAX_WIDTH)]
WidthFrom0 = Annotated[int, Field(ge=0, le=MAX_WIDTH)]
"""0 leaves the part out."""
Heads = Annotated[int, Field(ge=1, le=10_000)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
"""What torch and the records hold."""
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
    """A corpus from a package, a generated one, or `shards`: a folder that is named at launch."""
    tokenizer: str
    """`bytes` (256 ids), `deepseek-v3` (128,815), or `shards`: the `tokenizer.json` of your own."""
    validation_share: Annotated[float, Field(gt=0, lt=1)]
    """Share of the tokens that is held out, as whole documents."""
    fingerprint: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None
    """Expected fingerprint of the token shards; with `shards`, a launch asks for it."""
    vocab_size: Count | None = None
    """Ids of the tokenizer `shards`; others have their own."""
    document_end: CountFrom0 | None = None
    """The id by which the tokenizer `shards` ends documents; it also pads."""
    retrieval_share: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Share of the training tokens that are needles and variable chains, for `make retrieval`."""
    retrieval_tokens: Annotated[int, Field(ge=MIN_TOKENS, le=MAX_COUNT)] = 128
    """Tokens of the longest of these texts: the window, say."""

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
        if self.retrieval_share and self.source == SHARDS:
            raise ValueError(
                f"retrieval_share: expected 0 where source is {SHARDS}, whose text is prepared "
                f"already, got {self.retrieval_share:g}"
            )
        default = type(self).model_fields["retrieval_tokens"].default
        if self.retrieval_tokens != default and not self.retrieval_share:
            raise ValueError("retrieval_tokens: expected this key only beside retrieval_share")
        return self

    @property
    def vocabulary(self) -> Vocabulary:
        """Return the sizes and special ids of the tokenizer."""
        if self.vocab_size is not None and self.document_end is not None:
            return Vocabulary(self.vocab_size, self.document_end, self.document_end)
        known = TOKENIZERS[self.tokenizer]
        return Vocabulary(known.vocab_size, known.pad_id, known.document_end)


Aligned = Annotated[int, Field(ge=8, le=MAX_WIDTH, multiple_of=8)]
"""Widths that grouped matrix products run over: their rows must be 16-byte aligned, in bf16 too."""
Even = Annotated[int, Field(ge=2, le=MAX_WIDTH, multiple_of=2)]


Experts = Annotated[int, Field(ge=1, le=10**6)]


class MLA(Section):
    """Multi-head latent attention, by the names of DeepSeek's published configs."""

    q_lora_rank: WidthFrom0 = 0
    """0 projects queries straight from the hidden state."""
    kv_lora_rank: Width
    """Width of the latent that keys and values share."""
    qk_nope_head_dim: Width
    """Width of a head's query and key without position."""
    qk_rope_head_dim: Even
    """Width of a head's query and key with rotary position."""
    v_head_dim: Width
    """Width of a head's value."""


class Model(Section):
    """The backbone at rho = 1.

    Along rho only routed experts change and, under `iso: strict`, shared widths.
    """

    d_model: Aligned
    """Width of the residual stream."""
    n_layers: Annotated[int, Field(ge=1, le=1000)]
    """Blocks: attention and a feed-forward part each."""
    n_heads: Heads
    """Query heads."""
    n_kv_heads: Heads | None = None
    """Key/value heads of grouped-query attention; `n_heads` if left out."""
    head_dim: Even | None = None
    """Width of a head; needed unless `mla` sets it."""
    mla: MLA | None = None
    """Multi-head latent attention instead of grouped-query attention; it sets the head widths."""
    streams: Annotated[int, Field(ge=1, le=16)] = 1
    """Residual streams (mHC); 1 is the plain residual."""
    expert_width: Aligned
    """Hidden width of one routed expert."""
    routed_experts: Experts
    """Routed experts of a block at rho = 1, N(1)."""
    top_k: Experts
    """Routed experts that a token uses, and those that are left at rho = 0."""
    shared_width: WidthFrom0
    """Hidden width of the shared expert at rho = 1; Engram's compute comes out of it."""
    dense_layers: CountFrom0 = 0
    """Leading blocks with a dense feed-forward part in place of experts."""
    dense_width: WidthFrom0 = 0
    """Hidden width of their feed-forward part."""
    rope_theta: Positive = 10_000.0
    """Base of the rotary positions; short windows want a smaller one."""
    norm_eps: Epsilon = 1e-5
    """Added to the mean square in every RMSNorm; arXiv 2512.24880, Table 5, prints 1e-20."""
    routed_scaling_factor: Positive = 1.0
    """Multiplies the routed experts' sum; DeepSeek-V3 (arXiv 2412.19437) has 2.5."""
    init_std: Positive = 0.02
    """Standard deviation of initial weights."""

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

    layers: Annotated[tuple[CountFrom0, ...], Field(min_length=1, strict=False)]
    """Blocks, counted from 0, with an Engram module before their attention."""
    max_order: Annotated[int, Field(ge=2, le=64)] = 3
    """Longest n-grams; orders 2 to this have tables."""
    heads: Annotated[int, Field(ge=1, le=256)] = 8
    """Hash heads per order: tables that hash the same n-grams differently."""
    head_dim: Width
    """Width of a row; a look-up is orders x heads x this wide."""
    conv_kernel: CountFrom0 = 4
    """Kernel of the short causal convolution behind the gate; 0 leaves it out."""
    gate: bool = True
    """Whether the hidden state gates what is looked up; without, values are added as they are."""
    fusion: Literal["branches", "single"] = "branches"
    """With several streams: a key, gate and convolution for each, or a `single` one for all."""
    signed_sqrt: bool = False
    """Whether the gate takes the signed root of its product first, as the released demo does."""
    compress_tokenizer: bool = True
    """Whether tokens that normalise to one text hash alike (paper section 2.2)."""
    hash_seed: Seed = 0
    """Seed of the hash's multipliers."""
    init_std: Annotated[float, Field(ge=0)] = 0.02
    """Standard deviation of initial rows."""
    reset_at_documents: bool = False
    """N-grams do not reach behind the token that ends a document; the released demo's do."""

    @model_validator(mode="after")
    def _ordered(self) -> Memory:
        if list(self.layers) != sorted(set(self.layers)):
            raise ValueError(f"layers: expected ascending distinct blocks, got {list(self.layers)}")
        return self


class Training(Section):
    """How every point is trained; the same for all of them."""

    tokens: Annotated[int, Field(ge=1, le=10**18)] | None = None
    """Training tokens of a run; left out if `sweep.tokens_per_active` or `budgets` sets them."""
    window: Count
    """Tokens of a training window, the context length."""
    batch_windows: Annotated[int, Field(ge=1, le=10**6)]
    """Windows of one optimizer step."""
    learning_rate: Positive
    """Peak learning rate; `make tune` checks whether it is fair to rho = 1 and to hybrids."""
    table_learning_rate_factor: Positive = 5.0
    """Learning rate of the n-gram tables over that of the rest (paper: 5)."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    """Decoupled weight decay; the tables have none (paper)."""
    betas: Annotated[tuple[Beta, Beta], Field(strict=False)] = (0.9, 0.95)
    """Of AdamW and the tables' Adam."""
    eps: Epsilon = 1e-8
    """Of AdamW and the tables' Adam; arXiv 2512.24880, Table 5, prints 1e-20."""
    schedule: Literal["cosine", "wsd", "step"] = "cosine"
    """Learning rate after warm-up: `cosine`; `wsd`, stable and then straight down; `step` (DeepSeek
    LLM)."""
    warmup_share: Share = 0.03
    """Share of the steps with a rising learning rate."""
    final_share: Share = 0.1
    """Learning rate at the end over its peak."""
    decay_share: Share = 0.2
    """Share of the steps, at the end, in which `wsd` and `step` go down."""
    clip_norm: Positive = 1.0
    """Largest norm of the gradient of what is dense; longer ones are scaled down."""
    balance_rate: Annotated[float, Field(ge=0)] = 1e-3
    """Step of the routers' balancing biases (loss-free balancing)."""
    balance_loss: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the sequence-wise balance loss (DeepSeek-V3, Eq. 17), per expert and top_k."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """Who trains the matrices of the blocks; AdamW trains the rest."""
    table_optimizer: Literal["adam", "lazy_adam"] = "adam"
    """`adam`: as under dense Adam (paper Appendix A); `lazy_adam` freezes rows between look-ups."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """`bf16` is autocast: products in bf16, weights and states in float32."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Whether torch compiles the blocks; `auto`: from ten million tokens on, with a compiler."""

    @model_validator(mode="after")
    def _rows_come_to_rest(self) -> Training:
        b1, b2 = self.betas
        if self.table_optimizer == "adam" and b1 * b1 >= b2:
            raise ValueError(
                "betas: expected the first below the root of the second with table_optimizer: "
                f"adam, or rows move on for good after their last gradient, got {[b1, b2]}"
            )
        return self
