"""Faults at random moments of a small sweep.

Afterwards its table must equal that of an undisturbed one, bit for bit.

    python -m tests.chaos --faults 200

Real processes, real signals, a real file system that is small, and a real SLURM if it is
installed. Needs the right to mount.
"""
