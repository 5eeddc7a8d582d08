"""What comes in: the table of runs, batches of one condition, conditions."""
