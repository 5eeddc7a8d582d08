"""Text to fixed, fingerprinted token shards, and shards to windows."""
