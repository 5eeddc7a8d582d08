"""Arithmetic without torch: from a scale to resolved runs, their parameters and their price."""
