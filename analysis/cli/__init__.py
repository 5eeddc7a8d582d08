"""The commands that analysis adds to `engram-sweep`: fit, report, power, init and register."""
