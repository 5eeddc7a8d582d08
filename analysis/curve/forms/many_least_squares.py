"""Non-linear least squares of many small problems at once, after Levenberg and Marquardt.

A search by fixed moves stalls in a valley that is narrow and bent, as that of a side's tail and
steepness is if one loss stands far above the others; here each problem follows its own valley.
"""

from collections.abc import Callable

import numpy as np

ROUNDS = 12
"""Steps that are tried."""
DIFFERENCE = 1e-6
"""Change of a parameter that its derivative is taken over."""
DAMPING = 1e-2
"""First damping, in units of the curvature along each parameter."""
RELIEF = 0.2
"""What a step that helps multiplies the damping by; one that does not divides by it."""
STALLED = 1e3
"""Damping from which a step that does not help says that no step would."""
TOLERANCE = 1e-9
"""A step that takes less than this share (of 1 + the sum of squares) is the last one needed."""


def many_least_squares(
    residual: Callable[[np.ndarray], np.ndarray],
    theta: np.ndarray,
    bounds: tuple[np.ndarray, np.ndarray],
    rounds: int = ROUNDS,
) -> np.ndarray:
    """Return parameters whose sums of squares are no larger than at the start, shape (B, p).

    Args:
        residual: of B problems, parameters (B, p) -> residuals (R, B).
        theta: where to start, (B, p), within the bounds.
        bounds: lowest and highest parameters, (p,) each.
        rounds: steps that are tried; fewer if none of the problems gets better.

    Example:
        the parameters of `residual = lambda theta: y - theta.T` end at y.T.
    """
    theta = theta.copy()
    count = theta.shape[1]
    off = residual(theta)
    squares = (off**2).sum(axis=0)
    damping = np.full(len(theta), DAMPING)
    moves = DIFFERENCE * np.eye(count)
    for _ in range(rounds):
        # Derivatives of every residual by every parameter, (p, R, B).
        slopes = np.stack([(residual(theta + move) - off) / DIFFERENCE for move in moves])
        curvature = np.einsum("irb,jrb->bij", slopes, slopes)
        downhill = -np.einsum("irb,rb->bi", slopes, off)
        # A parameter that is pushed against its bound rests, or the others would go astray with it.
        low, high = bounds
        free = ~((theta <= low) & (downhill < 0) | (theta >= high) & (downhill > 0))
        downhill *= free
        curvature *= free[:, :, None] & free[:, None]
        diagonal = np.einsum("bii->bi", curvature)
        # A parameter that changes nothing has no curvature, and stays.
        added = damping[:, None] * diagonal + 1e-12 * (1 + diagonal.max(axis=1, keepdims=True))
        step = np.linalg.solve(curvature + added[:, :, None] * np.eye(count), downhill[:, :, None])
        tried = np.clip(theta + step[:, :, 0], *bounds)
        tried_off = residual(tried)
        tried_squares = (tried_off**2).sum(axis=0)
        better = tried_squares < squares
        taken = np.where(better, squares - tried_squares, 0.0)
        done = (taken < TOLERANCE * (1 + squares)) & (better | (damping > STALLED))
        theta = np.where(better[:, None], tried, theta)
        off = np.where(better, tried_off, off)
        squares = np.where(better, tried_squares, squares)
        damping = np.where(better, damping * RELIEF, damping / RELIEF)
        if done.all():
            break
    return theta
