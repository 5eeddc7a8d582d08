"""What a user writes: scales, their sections, the keys of a SLURM cluster."""
