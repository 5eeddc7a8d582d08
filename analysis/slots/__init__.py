"""Loss over table size at a fixed backbone: slopes, whether a line holds, arms paired."""
