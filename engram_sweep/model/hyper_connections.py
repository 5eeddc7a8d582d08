"""Manifold-constrained hyper-connections (mHC, arXiv 2512.24880): n residual streams.

x' = H_res x + H_post^T F(H_pre x), with x (n, D) the streams of one token. All three maps depend on
the token; H_res is projected to a doubly stochastic matrix, so that the mean over streams is
carried through any depth unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engram_sweep.model.layers import without_autocast
from engram_sweep.spec import Geometry

SINKHORN_STEPS = 20
"""Alternations of the projection (the paper's t_max)."""
GATE_START = 0.01
"""Start of the factors on the token-dependent part of the maps (the paper's alpha)."""
_OTHERS_SHARE = 0.02
_OFF_DIAGONAL = -8.0


def sinkhorn(logits: Tensor, steps: int = SINKHORN_STEPS) -> Tensor:
    """Project exp(logits) towards the doubly stochastic matrices.

    Columns, then rows, are normalised alternately.

    Args:
        logits: (..., n, n).
        steps: alternations.

    Returns:
        (..., n, n), non-negative; rows sum to one, columns nearly so.
    """
    # A common factor cancels in the first normalisation; without it exp could overflow.
    matrix = (logits - logits.amax((-2, -1), keepdim=True)).exp()
    # Tokens last: sums over n neighbours in memory are several times slower on the CPU.
    matrix = matrix.movedim((-2, -1), (0, 1)).contiguous()
    for _ in range(steps):
        matrix = matrix / matrix.sum(0, keepdim=True).clamp_min(1e-12)
        matrix = matrix / matrix.sum(1, keepdim=True).clamp_min(1e-12)
    return matrix.movedim((0, 1), (-2, -1)).contiguous()


def start_bias(streams: int, site: int) -> Tensor:
    """Return static logits of a plain residual network at the start (ours; the paper prints none).

    While all streams are equal, any weights that sum to one read the same input, H_post = 1 writes
    the same output to all, and a doubly stochastic H_res keeps them. Every sublayer reads mostly
    one stream, in turn, as in hyper-connections (arXiv 2409.19606): with equal weights all streams
    would get equal gradients and stay equal.

    Args:
        streams: n.
        site: 0-based index of the sublayer in the model.

    Returns:
        (n (n + 2),): n logits of H_pre, n of H_post, n x n of H_res.
    """
    others = math.log(_OTHERS_SHARE / (1 - _OTHERS_SHARE))
    most = 1 - (streams - 1) * _OTHERS_SHARE
    read = [math.log(most / (1 - most)) if i == site % streams else others for i in range(streams)]
    mix = [0.0 if i == j else _OFF_DIAGONAL for i in range(streams) for j in range(streams)]
    return torch.tensor(read + [0.0] * streams + mix, device="cpu")


class StreamMix(nn.Module):
    """The hyper-connection around one sublayer: reads its input from n streams, writes to them.

    Args:
        geometry: the model's shape, with n = `streams` above 1.
        site: 0-based index of the sublayer in the model.
    """

    def __init__(self, geometry: Geometry, site: int) -> None:
        super().__init__()
        n = self.streams = geometry.streams
        self.norm_eps = geometry.norm_eps
        self.weight = nn.Parameter(torch.empty(n * (n + 2), n * geometry.d_model))
        self.bias = nn.Parameter(torch.empty(n * (n + 2)))
        self.scale = nn.Parameter(torch.empty(3))
        self.init_std = {
            "weight": geometry.init_std,
            "bias": start_bias(n, site),
            "scale": torch.tensor([GATE_START] * 3, device="cpu"),
        }

    def maps(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, n, D) -> H_pre, H_post (B, T, n) in (0, 1), (0, 2); H_res (B, T, n, n)."""
        n = self.streams
        with without_autocast(h):
            flat = h.flatten(2).to(self.weight.dtype)
            dynamic = F.linear(F.rms_norm(flat, flat.shape[-1:], None, self.norm_eps), self.weight)
            parts = zip(
                self.scale,
                dynamic.split((n, n, n * n), -1),
                self.bias.split((n, n, n * n)),
                strict=True,
            )
            read, write, mix = (scale * token + static for scale, token, static in parts)
            return read.sigmoid(), 2 * write.sigmoid(), sinkhorn(mix.unflatten(-1, (n, n)))

    def forward(self, h: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        """Return one step of all streams.

        Args:
            h: (B, T, n, D).
            sublayer: (B, T, D) -> (B, T, D), its own norm included.

        Returns:
            (B, T, n, D).
        """
        read, write, mix = (m.type_as(h) for m in self.maps(h))
        with without_autocast(h):
            x = (read[..., None, :] @ h).squeeze(2)
        y = sublayer(x).type_as(h)
        with without_autocast(h):
            return mix @ h + write[..., None] * y[..., None, :]


def residual(mix: StreamMix | None, h: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply a sublayer and its residual: (B, T, D) for one stream, else (B, T, n, D)."""
    return h + sublayer(h) if mix is None else mix(h, sublayer)
