"""One curve from noisy points."""
