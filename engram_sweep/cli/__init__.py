"""The command line: one module per group of commands, and how their answers look on a terminal."""
