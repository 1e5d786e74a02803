"""Published results as data, and what they say about claims.

`entries.py`: the kinds of entries. `files.py`: reads and checks evidence files. `bibliography.py`: the BibTeX of their
sources. `verdicts.py`: what published numbers and statements say about each claim.
"""
