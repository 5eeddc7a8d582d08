"""The commands that analysis adds to `engram-sweep`: fit, report, compare, power and others."""
