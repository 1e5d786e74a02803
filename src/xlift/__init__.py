"""xlift: measure the cross-lingual lift of intermediate tasks."""

__version__ = "0.1.0"
