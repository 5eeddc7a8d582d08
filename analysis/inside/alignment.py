"""Unbiased linear CKA of two sets of states, and the layer that another model's layers are like.

CKA after Kornblith et al. (arXiv 1905.00414), with the unbiased estimate of HSIC of Song et al.
(JMLR 13, 1393, 2012), as the paper has it (section 6.1.2). The estimate is an inner product of
U-centred kernel matrices (Szekely and Rizzo 2014, Annals of Statistics 42, 2382), so that all pairs
of many layers are one matrix product.
"""

import numpy as np

TOP = 5
"""Layers of the other model over which the index is averaged, as in the paper; at most half."""


def centred_kernel(states: np.ndarray) -> np.ndarray:
    """Return the U-centred linear kernel of n states, scaled to length one, (n * n,).

    Args:
        states: (n, D), n at least 4.
    """
    n = len(states)
    # The mean drops out below; taken out first, it does not cost digits.
    centred = states.astype(float) - states.mean(0)
    kernel = centred @ centred.T
    np.fill_diagonal(kernel, 0)
    rows = kernel.sum(1)
    kernel -= (rows[:, None] + rows) / (n - 2) - rows.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(kernel, 0)
    return kernel.ravel() / np.linalg.norm(kernel)


def unbiased_cka(first: np.ndarray, second: np.ndarray) -> float:
    """Return the unbiased linear CKA of states at the same n positions, (n, D) and (n, E).

    It is 1 for states that differ by a rotation, a shift and a scale, and 0 on average for states
    that have nothing to do with each other.
    """
    return float(centred_kernel(first) @ centred_kernel(second))


def soft_alignment(likeness: np.ndarray) -> np.ndarray:
    """Return the layer of the other model that each layer is like, a_j, counted from 1.

    Args:
        likeness: (layers, layers of the other), CKA.

    Returns:
        (layers,): the mean index of the most similar layers, weighted by their likeness; that of
        the edges is pulled inwards, also for two models of one kind.
    """
    others = likeness.shape[1]
    top = max(1, min(TOP, others // 2))
    kept = np.argsort(-likeness, axis=1)[:, :top]
    # An unbiased estimate may be negative; as a weight it is none.
    weights = np.maximum(np.take_along_axis(likeness, kept, 1), 1e-12)
    return (weights * (kept + 1)).sum(1) / weights.sum(1)
