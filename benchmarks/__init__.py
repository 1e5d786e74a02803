"""Measurements that print a table each; none is a test. `python -m benchmarks.NAME` from the repository's root."""
