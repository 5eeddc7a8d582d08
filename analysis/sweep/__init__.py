"""What one sweep shows."""
