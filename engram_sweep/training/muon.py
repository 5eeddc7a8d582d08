"""Muon: momentum, orthogonalised matrix by matrix, for plain and stacked (expert) matrices.

Matrices of one shape, of whatever parameters, go through the iteration together.

`torch.optim.Muon` takes two dimensions only; on those the tests hold this one equal to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from engram_sweep.training.cuts import local

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration (Jordan et al. 2024): singular values go to about one."""
NEWTON_SCHULZ_STEPS = 5
MAX_BATCHED = 1 << 24
"""Numbers of the matrices that are orthogonalised together, to bound what is held beside them."""
MAX_BATCHED_CPU = 1 << 17
"""The same on a CPU: what its cache holds; twice as many are slower than so many twice."""

Member = tuple[Tensor, dict[str, Any]]
"""A parameter and its group."""


def orthogonalise(matrices: Tensor, steps: int = NEWTON_SCHULZ_STEPS) -> Tensor:
    """Return the nearest semi-orthogonal matrices, approximately: U V^T of each U S V^T.

    The iteration leaves singular values that were not tiny within about 0.7 and 1.2. It runs in
    bfloat16 on an accelerator, which is fast and enough there, and in float32 on the CPU.

    Args:
        matrices: (..., A, B).
        steps: Newton-Schulz iterations, all matrices at once.

    Returns:
        (..., A, B); zeros for a zero matrix.
    """
    a, b, c = NEWTON_SCHULZ
    x = matrices.float() if matrices.device.type == "cpu" else matrices.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-7)
    shape = x.shape
    x = x.reshape(-1, *shape[-2:])
    for _ in range(steps):
        # a X + (b G + c G G) X with G = X X^T, sums taken inside the products.
        gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    x = x.view(shape)
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose every matrix is orthogonalised and scaled to the step size of AdamW.

    An update of an A x B matrix has a root mean square of about 0.2 (Moonlight, arXiv 2502.16982,
    Eq. 4: the factor 0.2 sqrt(max(A, B))), so AdamW's learning rate and decay serve unchanged, and
    an expert's step does not depend on how many experts there are.

    Args:
        params: parameters, or groups of them. A parameter (..., A, B) is a stack of matrices. The
            group's key `blocks` (default 1) says that each of them is that many matrices side by
            side in its columns.
        lr: learning rate.
        weight_decay: decoupled.
        momentum: of the gradient's running mean.

    Raises:
        ValueError: a parameter has fewer than two dimensions.
    """

    def __init__(
        self, params: Iterable, lr: float = 1e-3, weight_decay: float = 0.1, momentum: float = 0.95
    ) -> None:
        super().__init__(
            params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "blocks": 1}
        )
        for group in self.param_groups:
            for p in group["params"]:
                if p.ndim < 2:
                    raise ValueError(
                        f"Muon: expected matrices, got a parameter of shape {tuple(p.shape)}"
                    )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # as torch's own
        """One step over every parameter that has a gradient; returns what the closure returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._step_all(
            [
                (p, group)
                for group in self.param_groups
                for p in group["params"]
                if p.grad is not None
            ]
        )
        return loss

    def _step_all(self, members: list[Member]) -> None:
        """One step of parameters whose matrices lie whole in this process."""
        by_shape: dict[tuple[int, int], list[Member]] = {}
        for p, group in members:
            short, long = sorted((p.shape[-2], p.shape[-1] // group["blocks"]))
            by_shape.setdefault((short, long), []).append((p, group))
        for same in by_shape.values():
            for batch in batches(same):
                aheads = [self._ahead(p, group) for p, group in batch]
                blocks = [group["blocks"] for _, group in batch]
                for (p, group), update in zip(batch, together(aheads, blocks), strict=True):
                    self._apply(p, group, update)

    def _ahead(self, p: Tensor, group: dict[str, Any]) -> Tensor:
        """Return the Nesterov momentum of the rows of a parameter that lie here."""
        state = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        assert p.grad is not None
        gradient = local(p.grad)
        mean = local(state["momentum"]).lerp_(gradient, 1 - group["momentum"])
        return gradient.lerp(mean, group["momentum"])

    @staticmethod
    def _apply(p: Tensor, group: dict[str, Any], update: Tensor) -> None:
        """Move the rows of a parameter that lie here by their orthogonalised update."""
        longest = max(p.shape[-2], p.shape[-1] // group["blocks"])
        own = local(p)
        own.mul_(1 - group["lr"] * group["weight_decay"])
        own.add_(update, alpha=-group["lr"] * 0.2 * longest**0.5)


def together(aheads: list[Tensor], blocks: list[int]) -> list[Tensor]:
    """Orthogonalise parameters whose matrices have one shape, or its transpose, in one iteration.

    A model has many small matrices, and each call costs more than its arithmetic.

    Args:
        aheads: (..., A, blocks * B) each, with A x B or B x A the same for all.
        blocks: how many matrices lie side by side in the columns of each.

    Returns:
        Their orthogonalised matrices, in the shapes of `aheads`.
    """
    wides = [_wide(ahead, n) for ahead, n in zip(aheads, blocks, strict=True)]
    wide = torch.cat(wides)
    # A stack of experts may be larger than a batch by itself.
    pieces = wide.split(max(1, most(wide) // (wide.shape[1] * wide.shape[2])))
    orthogonal = torch.cat([orthogonalise(piece) for piece in pieces])
    updates = orthogonal.split([len(each) for each in wides])
    return [
        _as_before(update, ahead, n)
        for update, ahead, n in zip(updates, aheads, blocks, strict=True)
    ]


def _wide(ahead: Tensor, blocks: int) -> Tensor:
    """(..., A, blocks * B) -> (n, A, B), or (n, B, A) if that is wider than high."""
    # What is fused for speed is orthogonalised apart.
    split = ahead.unflatten(-1, (blocks, -1)).movedim(-2, -3).flatten(0, -3)
    return split if split.shape[-2] <= split.shape[-1] else split.mT


def _as_before(update: Tensor, ahead: Tensor, blocks: int) -> Tensor:
    """Undo `_wide`."""
    rows, columns = ahead.shape[-2], ahead.shape[-1] // blocks
    own = update if rows <= columns else update.mT
    return own.reshape(*ahead.shape[:-2], blocks, rows, columns).movedim(-3, -2).flatten(-2)


def most(tensor: Tensor) -> int:
    """Return how many numbers are orthogonalised together where a tensor lies."""
    return MAX_BATCHED_CPU if tensor.device.type == "cpu" else MAX_BATCHED


def batches(members: list[Member]) -> Iterator[list[Member]]:
    """Yield parameters in groups that are orthogonalised together."""
    batch: list[Member] = []
    numbers = 0
    for p, group in members:
        size = local(p).numel()
        if batch and numbers + size > most(p):
            yield batch
            batch, numbers = [], 0
        batch.append((p, group))
        numbers += size
    yield batch
