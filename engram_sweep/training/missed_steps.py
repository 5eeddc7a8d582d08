"""What Adam does in steps that bring no gradient, summed up without taking them one by one.

At step t Adam (arXiv 1412.6980, Algorithm 1) moves a parameter by -lr_t / (1 - b1^t) times
m_t / (sqrt(v_t) / q_t + eps), q_t = sqrt(1 - b2^t). Without a gradient since step s its moments
only decay, by b1 and b2 a step. So all moves of the steps s + 1 .. t together are -m_s F(y),
y = sqrt(v_s), with one function F for whatever missed the same steps,

    F(y) = sum over j of w_j / (A_j y + eps),
    w_j = lr_(s+j) b1^j / (1 - b1^(s+j)),  A_j = b2^(j/2) / q_(s+j).

For any k > 0, u = y / (y + k eps) lies between 0 and 1, and with B_j = k A_j

    1 / (A_j y + eps) = k / (y + k eps) / (1 + (B_j - 1) u),

whose Chebyshev series in x = 2 u - 1 is a geometric one:

    1 / (1 + (B - 1) u) = (1 + 2 sum over n >= 1 of p^n T_n(x)) / sqrt(B),
    p = (1 - sqrt(B)) / (1 + sqrt(B)).

So F is known by a few coefficients for each s, and a further step adds to those of the last few
hundred s. Terms decay like r^j, r = b1 / sqrt(b2) (0.923 at DeepSeek's betas), and are left out
below float32 rounding.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

TERMS = 16
"""Chebyshev coefficients of each F; even. The series is exact for y far above and far below eps."""
SMALLEST_SHARE = 2.0**-26
"""Missed steps whose moves come to less than this share of the whole are left out."""
MIN_STEPS = 1024
"""Steps that are made room for at first; the room doubles when they have passed."""


def ratio(betas: tuple[float, float]) -> float:
    """Return r = b1 / sqrt(b2): what a move keeps of the one before while no gradient comes."""
    return betas[0] / math.sqrt(betas[1]) if betas[1] else math.inf


def horizon(betas: tuple[float, float]) -> int:
    """Return after how many missed steps a parameter stands still, up to float32 rounding.

    Raises:
        ValueError: it never does, because b1 >= sqrt(b2).

    Example:
        `horizon((0.9, 0.95))` is 227.
    """
    r = ratio(betas)
    if r >= 1:
        raise ValueError(
            f"betas: expected b1 below sqrt(b2), or rows without a gradient never come to rest, "
            f"got {list(betas)}"
        )
    # The rest of a geometric series after h of its terms is r^h of the whole.
    return math.ceil(math.log(SMALLEST_SHARE) / math.log(r)) if r else 0


class MissedSteps:
    """The functions F of all steps s that a parameter may stand at.

    Args:
        betas: b1 and b2.
        eps: Adam's eps.

    Raises:
        ValueError: b1 >= sqrt(b2).
    """

    scale: Tensor
    """(S,): k eps, by the step s."""
    decay: tuple[Tensor, Tensor]
    """(S,) each: what is left of m and of v after so many steps."""

    def __init__(self, betas: tuple[float, float], eps: float) -> None:
        self.betas, self.eps, self.horizon = betas, eps, horizon(betas)
        self.restore(torch.zeros(MIN_STEPS, TERMS, dtype=torch.float64))

    def restore(self, coefficients: Tensor) -> None:
        """Go on from the `coefficients` of the steps so far, on their device."""
        self.coefficients = coefficients
        """(S, TERMS): the series of (y + k eps) F(y), by the step s since when."""
        b1, b2 = self.betas
        gaps = torch.arange(len(coefficients), dtype=torch.float64, device=coefficients.device)
        self.decay = b1**gaps, b2**gaps
        # Any k would do; the bias correction some steps on keeps B_j near 1 where w_j is large.
        self.scale = self.eps * (1 - b2 ** (gaps + 1 + 1 / (1 - b1))).sqrt()

    def add(self, step: int, rate: float) -> None:
        """Let a step pass.

        Args:
            step: t, 1 or more; each follows the one before.
            rate: its learning rate.
        """
        if step >= len(self.coefficients):
            self.restore(torch.cat((self.coefficients, torch.zeros_like(self.coefficients))))
        b1, b2 = self.betas
        since = slice(max(0, step - self.horizon), step)
        # By the step s: what is left of m and of v after the t - s steps since.
        left = [decay[1 : step - since.start + 1].flip(0) for decay in self.decay]
        k = self.scale[since] / self.eps
        weight = k * left[0] * (rate / (1 - b1**step))
        root = (k * left[1].sqrt() / math.sqrt(1 - b2**step)).sqrt()
        p = (1 - root) / (1 + root)
        # 1, p, p^2, ...; whatever lies beyond the last term is added to the last of its parity,
        # which keeps the sum exact at both ends, x = -1 and x = 1.
        powers = torch.cat((torch.ones_like(p)[:, None], p[:, None].expand(-1, TERMS - 1)), 1)
        powers = powers.cumprod(1)
        # p^2 / (1 - p^2), finite where p rounds to 1.
        beyond = (p * (1 + root)).square() / (4 * root)
        powers[:, -2:] *= 1 + beyond[:, None]
        powers[:, 0] /= 2
        self.coefficients[since] += (2 * weight / root)[:, None] * powers

    def move(self, since: Tensor, mean: Tensor, root: Tensor) -> Tensor:
        """Return how far parameters have moved since they were last up to date.

        Every operation is one that IEEE 754 rounds, so a row's move does not depend on where in
        the batch it stands: processes that replay a row at different times agree bit for bit.

        Args:
            since: (n,) int64, the step s of every row.
            mean: (n, D) first moments at s.
            root: (n, D) square roots of the second moments at s.

        Returns:
            (n, D), to be added.
        """
        below = root + self.scale[since].to(root.dtype)[:, None]
        x = 2 * (root / below) - 1
        coefficients = self.coefficients.index_select(0, since).to(root.dtype)
        # Clenshaw's recurrence: b_n = c_n + 2 x b_(n+1) - b_(n+2).
        twice, later, last = 2 * x, torch.zeros_like(x), torch.zeros_like(x)
        for n in range(TERMS - 1, 0, -1):
            last, later = later, (twice * later).add_(coefficients[:, n, None]).sub_(last)
        total = (x * later).add_(coefficients[:, 0, None]).sub_(last)
        return (mean / below).mul_(total).neg_()

    def to(self, device: torch.device) -> None:
        """Move all that is known to a device."""
        if self.coefficients.device != device:
            self.restore(self.coefficients.to(device))
