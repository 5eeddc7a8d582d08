"""Sweep the share of a fixed sparse budget between MoE experts and Engram memory.

Source: arXiv 2601.07372, section 3.
"""

__version__ = "0.1.0"
