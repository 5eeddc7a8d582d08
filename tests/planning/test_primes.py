from __future__ import annotations

from math import isqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_sweep.planning.primes import distinct_primes, is_prime, nearest_prime, next_prime


def plainly_prime(n: int) -> bool:
    return n > 1 and all(n % d for d in range(2, isqrt(n) + 1))


@given(st.integers(-10, 1_000_000))
def test_is_prime_equals_trial_division(n):
    assert is_prime(n) == plainly_prime(n)


@pytest.mark.parametrize(
    "n", [3_215_031_751, 341_550_071_728_321, 3_825_123_056_546_413_051, 561, 1_373_653]
)
def test_strong_pseudoprimes_are_composite(n):
    assert not is_prime(n)


def test_a_large_prime_is_prime():
    assert is_prime(2**61 - 1)
    assert not is_prime((2**31 - 1) * (2**61 - 1))


@given(st.integers(-5, 200_000))
def test_next_prime_leaves_none_out(n):
    found = next_prime(n)
    assert plainly_prime(found)
    assert not any(plainly_prime(m) for m in range(n + 1, found))


@given(
    st.integers(-2_000, 5_000),
    st.sets(st.sampled_from([2, 3, 5, 7, 11, 13, 997, 1009]), max_size=8),
)
def test_nearest_prime_is_nearest_and_free(n, taken):
    found = nearest_prime(n, taken)
    assert is_prime(found)
    assert found not in taken
    closer = range(n - abs(found - n) + 1, n + abs(found - n))
    assert not any(is_prime(m) and m not in taken for m in closer)


@given(st.integers(1, 40), st.integers(0, 400_000))
@settings(max_examples=80, deadline=None)
def test_distinct_primes_are_distinct_and_sum_close(count, extra):
    least = [2]
    while len(least) < count:
        least.append(next_prime(least[-1]))
    total = sum(least) + extra
    primes = distinct_primes(count, total)
    assert len(primes) == len(set(primes)) == count
    assert primes == sorted(primes)
    assert all(is_prime(p) for p in primes)
    # The parity of a sum of odd primes is all that is missed, but for one prime alone and for very
    # small totals.
    gap = abs(sum(primes) - total)
    assert gap <= (1 if total > 200 * count**2 and count > 1 else max(40, total // 50))


@given(st.integers(2, 60), st.integers(1, 200))
def test_too_small_a_total_says_what_it_takes(count, short):
    least = [2]
    while len(least) < count:
        least.append(next_prime(least[-1]))
    with pytest.raises(ValueError, match=f"{count} distinct primes sum to at least {sum(least)}"):
        distinct_primes(count, sum(least) - short)


def test_table_sized_primes_hit_their_sum():
    for total in (2_262_400 * 32, 2_262_400 * 32 + 1, 7_239_680 * 32):
        assert abs(sum(distinct_primes(32, total)) - total) <= 1
