"""Execution: runs the jobs of a plan. It connects `studies` with the torch packages (models, training, evaluation)."""
