"""Where workers run: one module per executor."""
