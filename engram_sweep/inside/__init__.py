"""Measures inside finished runs: what a sweep's trained models do, beyond their loss."""
