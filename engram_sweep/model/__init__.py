"""The networks, from one `Geometry`. Knows nothing of Lightning, launching or files."""
