"""One run under Lightning. Knows nothing of sweeps."""
