"""What measures inside the runs show: readings with intervals over documents and seeds."""
