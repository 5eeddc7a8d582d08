"""Choosing what to train next: learning rates."""
