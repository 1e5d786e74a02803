"""The archipelago: a generated family of languages over one small world, with every task made from the same meanings.

It is the default data of xlift. Nothing is downloaded, every example is a function of (split, seed, index), and the
true relations between the languages and their amounts of pretraining text are known.
"""

VERSION = 1
"""Increment it whenever the same (task, language, split, seed, index) gives another example."""
