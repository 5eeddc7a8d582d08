"""The geometry and recipe of a width, in the proportions of the paper's models.

[mHC] is arXiv 2512.24880, Table 5: the same group's 3B, 9B and 27B models, whose geometry the
paper's sweeps share (docs/scales.md). Below `FAMILY_WIDTH` the proportions are those of
sweeps/tiny.yaml: a latent or a leading dense block would be most of so small a model.
"""

from __future__ import annotations

from dataclasses import dataclass

from engram_sweep.config.commented_yaml import Reasoned

FAMILY_WIDTH = 256
"""Smallest width with the proportions of the paper's models."""
LONG_WIDTH = 1024
"""Smallest width with the paper's context length and width of heads."""
WIDTHS = (
    *range(32, FAMILY_WIDTH, 16),
    *range(FAMILY_WIDTH, LONG_WIDTH, 64),
    *range(LONG_WIDTH, 4097, 128),
)
"""Widths that are tried."""
CHANNELS_PER_BLOCK = 107
"""[mHC]: 1280 channels in 12 blocks, 1920 in 18; the paper's 10B: 1472 in 14."""
EXPERT_SHARE = 1.13
"""Width of an expert over d_model: 1664 / 1472 in sweeps/10B.yaml."""
SMALL_EXPERT_SHARE = 0.67
"""The same in sweeps/tiny.yaml: 32 / 48."""
DENSE_EXPERTS = 8
"""[mHC]: the leading dense block is as wide as all experts that a token uses."""
MEMORY_SHARE = 0.87
"""d_memory over d_model: 1280 / 1472 in sweeps/10B.yaml."""
SECOND_MEMORY = 5 / 14
"""Where the second module stands: block 5 of 14 (paper: the sixth of twelve, counted from 1)."""
SPARSITY = 10.0
"""P_tot / P_act of the paper's budgets (section 3.1)."""
RHO_STEPS = 20
"""Routed experts beyond top_k come in multiples of this, so that every 0.05 is an exact rho."""
SHORT_STEPS = 5_000
"""Runs of fewer steps want a faster balancing bias."""


@dataclass(frozen=True)
class Compute:
    """One run's length: tokens, and C = 6 P_act tokens in FLOPs."""

    tokens: int
    flops: float

    @property
    def batch_tokens(self) -> float:
        """Tokens of a step, by DeepSeek LLM's law of the best batch (arXiv 2401.02954, Eq. 1)."""
        return 0.2920 * self.flops**0.3271

    @property
    def learning_rate(self) -> float:
        """Peak rate, by the same law: 0.3118 C^-0.125, to two digits."""
        return float(f"{0.3118 * self.flops**-0.125:.2g}")


def shared_experts(d_model: int) -> int:
    """Return the usual width of the shared expert, in routed experts: two in the paper's family."""
    return 1 if d_model < FAMILY_WIDTH else 2


def model_section(d_model: int, shared: int, routed_experts: int) -> dict[str, Reasoned]:
    """Return the `model` section of a width.

    Args:
        d_model: one of `WIDTHS`.
        shared: width of the shared expert, in routed experts.
        routed_experts: N(1).
    """
    small = d_model < FAMILY_WIDTH
    head_dim = _head_dim(d_model)
    heads = d_model // head_dim
    # Grouped-query attention, four queries a key where that divides.
    groups = 1 if small else max(each for each in (1, 2, 4) if heads % each == 0)
    share = SMALL_EXPERT_SHARE if small else EXPERT_SHARE
    expert = max(16, 8 * round(share * d_model / 8))
    words = "shared experts" if shared > 1 else "shared expert"
    section: dict[str, Reasoned] = {
        "d_model": (d_model, "the widest that the hours, the text and the memory allow"),
        "n_layers": (
            blocks(d_model),
            f"a block per {CHANNELS_PER_BLOCK} channels, as in the paper's family; 2 at least",
        ),
        "n_heads": (heads, ""),
        "n_kv_heads": (heads // groups, ""),
        "head_dim": (head_dim, ""),
        "expert_width": (expert, f"{share:g} x d_model, as in {_like(small)}"),
        "routed_experts": (
            routed_experts,
            f"P_tot / P_act near {SPARSITY:g} (paper); {RHO_STEPS} divides what is beyond top_k",
        ),
        "top_k": (2 if small else 6, f"as in {_like(small)}"),
        "shared_width": (
            shared * expert,
            f"{shared} {words}, out of which Engram's own compute comes",
        ),
    }
    if not small:
        dense = DENSE_EXPERTS * expert
        section["dense_layers"] = (1, "as in the paper's family")
        section["dense_width"] = (dense, f"{DENSE_EXPERTS} x expert_width, as there")
    if window(d_model) < 256:
        section["rope_theta"] = (100.0, "short windows: at 10,000 most frequencies stand still")
    section["init_std"] = (
        _init_std(d_model),
        "0.7 / sqrt(d_model), 0.02 at least: narrow models starve at less",
    )
    return section


def memory_section(d_model: int) -> dict[str, Reasoned]:
    """Return the `memory` section of a width."""
    small = d_model < FAMILY_WIDTH
    heads = 4 if small else 8
    share = SMALL_EXPERT_SHARE if small else MEMORY_SHARE
    # GPUs want rows of whole 16 bytes.
    grain = 2 if small else 8
    second = round(SECOND_MEMORY * blocks(d_model))
    layers = [1, second] if second > 1 else [1]
    return {
        "layers": (layers, "counted from 0: the second block, and a third of the way up (paper)"),
        "max_order": (3, "paper: 2-grams and 3-grams"),
        "heads": (heads, f"per order, as in {_like(small)}"),
        "head_dim": (
            max(grain, grain * round(share * d_model / (2 * heads * grain))),
            f"2 orders x {heads} heads x this is near {share:g} x d_model, as there",
        ),
        "init_std": (_init_std(d_model), "as in the model"),
    }


def training_section(
    d_model: int, compute: Compute, gpus: int, on_gpu: bool
) -> dict[str, Reasoned]:
    """Return the `training` section of a width and a length.

    Args:
        d_model: the width.
        compute: the length of a run.
        gpus: GPUs of one run, over which the windows of a step divide.
        on_gpu: whether it trains on GPUs.
    """
    windows = batch_windows(d_model, compute, gpus)
    steps = compute.tokens / (windows * window(d_model))
    law = "DeepSeek LLM's law (arXiv 2401.02954, Eq. 1)"
    section: dict[str, Reasoned] = {
        "tokens": (compute.tokens, f"{steps:,.0f} steps"),
        "window": (window(d_model), ""),
        "batch_windows": (windows, f"{law}, to a power of two"),
        "learning_rate": (compute.learning_rate, f"{law}; make tune checks it"),
        "optimizer": ("muon", "paper"),
    }
    if on_gpu:
        section["precision"] = ("bf16", "autocast; weights and states in float32")
    if steps < SHORT_STEPS:
        section["balance_rate"] = (1e-2, "short runs need a faster bias than the 1e-3 of long ones")
    return section


def batch_windows(d_model: int, compute: Compute, gpus: int) -> int:
    """Return the windows of a step: a power of two that divides over the GPUs of a run."""
    wanted = compute.batch_tokens / window(d_model)
    windows = 8
    while windows * 2**0.5 < wanted or windows % gpus:
        windows *= 2
    return windows


def window(d_model: int) -> int:
    """Return the context length of a width: that of sweeps/tiny.yaml, small.yaml or 10B.yaml."""
    if d_model < FAMILY_WIDTH:
        return 128
    return 1024 if d_model < LONG_WIDTH else 4096


def blocks(d_model: int) -> int:
    """Return the blocks of a width."""
    return max(2, round(d_model / CHANNELS_PER_BLOCK))


def _head_dim(d_model: int) -> int:
    if d_model < FAMILY_WIDTH:
        return 16
    return 64 if d_model < LONG_WIDTH else 128


def _init_std(d_model: int) -> float:
    return float(f"{max(0.02, 0.7 / d_model**0.5):.1g}")


def _like(small: bool) -> str:
    return "sweeps/tiny.yaml" if small else "the paper's models"
