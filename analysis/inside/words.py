"""Numbers with their intervals, in words."""

from analysis.curve.readings import Interval


def with_interval(interval: Interval, digits: int = 4) -> str:
    """Return a value and its limits, e.g. `0.0123 [0.0100, 0.0150]`; only what is known."""
    value = _number(interval.value, digits)
    if interval.low is None and interval.high is None:
        return value
    return f"{value} [{_number(interval.low, digits)}, {_number(interval.high, digits)}]"


def share(interval: Interval) -> str:
    """Return a share and its limits in percent, e.g. `63 % [50, 71]`."""
    value = "none" if interval.value is None else f"{100 * interval.value:.0f} %"
    if interval.low is None or interval.high is None:
        return value
    return f"{value} [{100 * interval.low:.0f}, {100 * interval.high:.0f}]"


def with_limits(name: str, interval: Interval) -> dict[str, object]:
    """Return the columns of a reading in a table: its name, and its name with low and high."""
    return {name: interval.value, f"{name} low": interval.low, f"{name} high": interval.high}


def _number(value: float | None, digits: int) -> str:
    return "none" if value is None else f"{value:.{digits}f}"
