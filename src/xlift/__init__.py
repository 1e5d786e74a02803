"""xlift: measure the cross-lingual lift of intermediate tasks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from xlift.version import __version__

if TYPE_CHECKING:
    from xlift.analysis.results import Results

__all__ = ["__version__", "load"]


def load(store: str | Path = "xlift-store") -> Results:
    """The results of the studies in a store, or of a bundle: scores, lifts and predictions as pandas frames.

    Raises:
        xlift.errors.UserError: there is no such folder or file, or it is damaged.
    """
    from xlift.analysis import results  # slow, so not at import

    return results.load(store)
