"""A user's own text or token files -> a shard folder."""
