"""Which runs of an adaptive sweep to train next."""
