"""How many digits a number deserves: as many as its own uncertainty leaves it."""

import math

from analysis.curve.readings import Interval

MAX_DECIMALS = 6
"""However small an uncertainty is."""


def decimals(uncertainty: float | None, otherwise: int) -> int:
    """Return the decimals that keep two significant digits of an uncertainty.

    Args:
        uncertainty: a standard error or half an interval, e.g. 0.0047 gives 4.
        otherwise: what to return if it is not known or nothing.
    """
    if uncertainty is None or not math.isfinite(uncertainty) or uncertainty <= 0:
        return otherwise
    return min(max(1 - math.floor(math.log10(uncertainty)), 0), MAX_DECIMALS)


def decimals_of(interval: Interval, otherwise: int, at_most: int = MAX_DECIMALS) -> int:
    """Return the decimals of a value with its interval; one without limits has `otherwise`."""
    if interval.low is None or interval.high is None:
        return otherwise
    return min(decimals((interval.high - interval.low) / 2, otherwise), at_most)


def number(value: float | None, digits: int) -> str:
    """Return a number with its decimals, "none" if there is none."""
    return "none" if value is None else f"{value:.{digits}f}"


def with_interval(interval: Interval, otherwise: int, at_most: int = MAX_DECIMALS) -> str:
    """Return a value with its limits, e.g. "0.0231 [0.0200, 0.0294]".

    Args:
        interval: the value.
        otherwise: decimals of a value without limits.
        at_most: decimals, however narrow the interval is.
    """
    digits = decimals_of(interval, otherwise, at_most)
    value = number(interval.value, digits)
    if interval.low is None and interval.high is None:
        return value
    low = "below the range" if interval.low is None else number(interval.low, digits)
    return f"{value} [{low}, {number(interval.high, digits)}]"


End = tuple[str, tuple[str, str] | None]
"""An end of a range and its limits, None if they are not known."""
Limits = tuple[float, float] | None


def ends_of_range(low: float, low_limits: Limits, high: float, high_limits: Limits) -> list[End]:
    """Return both ends of a range with their limits; the lower one is never shown as the higher.

    Args:
        low: the lower end.
        low_limits: its interval, None if it is not known.
        high: the higher end.
        high_limits: its interval.
    """
    ends = [end_of_range(low, low_limits, True), end_of_range(high, high_limits, False)]
    if float(ends[0][0]) <= float(ends[1][0]):
        return ends
    # There is no number of so few digits inside: those around it.
    return [end_of_range(low, low_limits, False), end_of_range(high, high_limits, True)]


def end_of_range(end: float, limits: Limits, lower: bool) -> End:
    """Return an end of a range and its limits; no number shown lies outside of the range.

    Args:
        end: the end, e.g. 0.25447 becomes "0.26" if it is the lower one, "0.25" if the upper one.
        limits: its interval, rounded outwards; None if it is not known.
        lower: whether it is the range's lower end.
    """
    half = None if limits is None else (limits[1] - limits[0]) / 2
    digits = max(decimals(half, 2), 2)
    shown = _rounded(end, digits, up=lower)
    if limits is None:
        return shown, None
    return shown, (_rounded(limits[0], digits, up=False), _rounded(limits[1], digits, up=True))


def _rounded(value: float, digits: int, up: bool) -> str:
    # A value that is round already, e.g. 0.3 stored as 0.30000000000000004, stays.
    scaled = round(value * 10**digits, 6)
    whole = math.ceil(scaled) if up else math.floor(scaled)
    return f"{whole / 10**digits:.{digits}f}"
