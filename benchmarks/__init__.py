"""Benchmarks: how fast the real processes are, and how far that is from the bare path on the same broker."""
