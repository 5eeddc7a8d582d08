"""Starting runs, watching them, and telling how they stand."""
