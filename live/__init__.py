"""Decide, in causal order: ticks and clock edges in, commands out.

Nothing in this package reads a clock, a file, a socket, the environment or a random number.
"""
