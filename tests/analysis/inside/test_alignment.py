from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.inside.alignment import soft_alignment, unbiased_cka


def plain_hsic(x, y):
    """Song et al. 2012, Eq. 5: the mean over all ordered quadruples of different indices."""
    k, m = x @ x.T, y @ y.T
    terms = [
        k[i, j] * (m[i, j] + m[q, r] - 2 * m[i, q]) for i, j, q, r in permutations(range(len(x)), 4)
    ]
    return np.mean(terms)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(4, 8), d=st.integers(1, 5), e=st.integers(1, 5), seed=st.integers(0, 99))
def test_it_is_the_mean_over_all_quadruples(n, d, e, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, d)), rng.standard_normal((n, e)) + 3
    x[:, 0] += y[:, 0]
    scale = plain_hsic(x, x) * plain_hsic(y, y)
    # An unbiased norm of few points may be negative; then there is no CKA to compare.
    if scale > 1e-3:
        assert unbiased_cka(x, y) == pytest.approx(plain_hsic(x, y) / scale**0.5, rel=1e-6)


def test_it_is_one_for_a_rotation_and_nothing_for_strangers():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 20)) * np.linspace(0.1, 2, 20)
    rotation, _ = np.linalg.qr(rng.standard_normal((20, 20)))
    assert unbiased_cka(x, x) == pytest.approx(1)
    assert unbiased_cka(x, -3 * x @ rotation + 7) == pytest.approx(1)
    strangers = [unbiased_cka(rng.standard_normal((60, 50)), rng.standard_normal((60, 50)))
                 for _ in range(40)]  # fmt: skip
    # The plain estimate would be near 0.5 here, for lack of samples.
    assert np.mean(strangers) == pytest.approx(0, abs=0.02)


def test_a_layer_is_like_those_it_resembles_most():
    likeness = np.array([[0.9, 0.1, 0.0, -0.2], [0.1, 0.2, 0.6, 0.2], [0.0, 0.0, 0.5, 0.5]])
    found = soft_alignment(likeness)
    assert found == pytest.approx([(0.9 + 0.2) / 1.0, (0.6 * 3 + 0.2 * 2) / 0.8, 3.5])
    # With two layers only the most similar one counts.
    assert soft_alignment(np.array([[0.4, 0.5]])) == pytest.approx([2.0])
