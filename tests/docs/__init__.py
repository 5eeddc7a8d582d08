"""What README and docs say: figures recomputed, commands run, links followed."""
