"""Sweeps with a known truth."""
