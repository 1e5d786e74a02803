"""Benchmarks. Each prints a table; none is a test. Run `python -m benchmarks.NAME` in the root of the repository."""
