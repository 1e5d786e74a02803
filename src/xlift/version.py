"""The version of xlift."""

__version__ = "0.1.0"
