"""Executors: they start the workers of a run, carry messages between them and the scheduler, and stop them."""
