"""The report of a study in the form of a paper: a document (`document.py`) with two renderers, Markdown and LaTeX."""
