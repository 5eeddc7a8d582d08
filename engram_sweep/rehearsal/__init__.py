"""What can be tried of a sweep on many GPUs before it is launched, on any machine."""
