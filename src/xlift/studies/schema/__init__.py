"""The schema of a study: one module for each section. study.py combines them."""
