"""What learning rates at several rho show together: the best of each, and what one rate costs."""
