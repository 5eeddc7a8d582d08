"""Distinct primes near a wanted size: rows per head of the n-gram tables (paper section 2.2)."""

from __future__ import annotations

import itertools
from functools import cache

_WITNESSES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)  # decide every n below 3.3e24


def is_prime(n: int) -> bool:
    """Deterministic Miller-Rabin, exact below 3.3e24."""
    if n < 2:
        return False
    for p in _WITNESSES:
        if n % p == 0:
            return n == p
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for a in _WITNESSES:
        x = pow(a, odd, n)
        if x in (1, n - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def next_prime(n: int) -> int:
    """Return the smallest prime above n."""
    n += 1
    while not is_prime(n):
        n += 1
    return n


def nearest_prime(n: int, taken: set[int]) -> int:
    """Return the prime nearest to n that is not in `taken`; the smaller of two equally near."""
    n = max(n, 2)
    for distance in itertools.count():
        for candidate in (n - distance, n + distance):
            if candidate not in taken and is_prime(candidate):
                return candidate
    raise AssertionError("unreachable: there is always a larger prime")


def distinct_primes(count: int, total: int) -> list[int]:
    """`count` distinct primes, close together, whose sum is as near to `total` as this search gets.

    Starts from the primes around the mean and swaps one at a time for the prime that closes most of
    the gap; what then remains is closed by a pair. The parity of the sum is that of `count` odd
    primes, so the gap ends at 0 or 1, but for one prime alone and for very small totals.

    Args:
        count: how many.
        total: the wanted sum.

    Returns:
        The primes in ascending order.

    Raises:
        ValueError: `total` is smaller than the sum of the `count` smallest primes.
    """
    if total < (least := _least_sum(count)):
        raise ValueError(
            f"{count} distinct primes sum to at least {least}, the budget leaves {total} rows"
        )
    chosen: set[int] = set()
    for _ in range(count):
        chosen.add(nearest_prime(total // count, chosen))
    gap = total - sum(chosen)
    while gap:
        swaps = [(p, nearest_prime(p + gap, chosen)) for p in sorted(chosen)]
        old, new = min(swaps, key=lambda swap: (abs(gap - (swap[1] - swap[0])), swap))
        if abs(gap - (new - old)) >= abs(gap):
            break
        chosen = chosen - {old} | {new}
        gap = total - sum(chosen)
    if abs(gap) > 1 and count > 1:
        chosen = _trade_pair(chosen, gap)
    return sorted(chosen)


@cache
def _least_sum(count: int) -> int:
    """Return the sum of the `count` smallest primes."""
    prime = 1
    return sum(prime := next_prime(prime) for _ in range(count))


def _trade_pair(chosen: set[int], gap: int) -> set[int]:
    """Trade the outer two primes for two whose sum is larger by `gap`, or by one less if it is odd.

    An even number is the sum of two primes in many ways (Goldbach), so near halves of it are soon
    found.
    """
    outer = {min(chosen), max(chosen)}
    rest = chosen - outer
    half = (sum(outer) + gap) // 2
    for distance in range(1, half - 1):
        pair = {half - distance, half + distance}
        if not pair & rest and all(is_prime(p) for p in pair):
            return rest | pair
    return chosen


def demo_rows(
    tables: int, rows: int, heads: int, max_order: int
) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """Rows of every head as the released demo chooses them.

    Ascending primes from `rows` on, none used twice.

    Args:
        tables: Engram layers.
        rows: wanted rows per head, the same everywhere.
        heads: heads per order.
        max_order: orders 2..max_order.

    Returns:
        For each table and order its heads' primes, in the demo's nesting.
    """
    prime = rows - 1
    return tuple(
        tuple(tuple(prime := next_prime(prime) for _ in range(heads)) for _ in range(max_order - 1))
        for _ in range(tables)
    )
