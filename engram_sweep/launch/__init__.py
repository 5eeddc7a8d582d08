"""Starting runs, watching them, and showing how they stand."""
