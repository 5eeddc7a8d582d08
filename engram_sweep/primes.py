"""Distinct primes near a wanted size: rows per head of the n-gram tables (paper section 2.2)."""

from __future__ import annotations

import itertools

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
    """The smallest prime above n."""
    n += 1
    while not is_prime(n):
        n += 1
    return n


def nearest_prime(n: int, taken: set[int]) -> int:
    """The prime nearest to n that is not in `taken`; the smaller of two equally near."""
    n = max(n, 2)
    for distance in itertools.count():
        for candidate in (n - distance, n + distance):
            if candidate not in taken and is_prime(candidate):
                return candidate
    raise AssertionError("unreachable: there is always a larger prime")


def distinct_primes(count: int, total: int) -> list[int]:
    """`count` distinct primes, close together, whose sum is as near to `total` as this search gets.

    Starts from the primes around the mean and swaps one at a time for the prime that closes most of the gap. Odd
    primes fix the parity of the sum, so the gap that remains is mostly 0 or 1 for a dozen primes or more; it is a few
    units where there are few of them to swap.

    Args:
        count: how many.
        total: the wanted sum.

    Returns:
        The primes in ascending order.

    Raises:
        ValueError: `total` is smaller than the sum of the `count` smallest primes.
    """
    smallest = [2]
    while len(smallest) < count:
        smallest.append(next_prime(smallest[-1]))
    if total < sum(smallest):
        raise ValueError(f"{count} distinct primes sum to at least {sum(smallest)}, the budget leaves {total} rows")
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
    return sorted(chosen)
