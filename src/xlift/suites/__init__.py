"""Suites: what XTREME and XTREME-R score, from which files, and by which rule; folders scored and folders written."""
