"""What several conditions show together."""
