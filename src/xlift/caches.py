"""The folder for what xlift can make again: measurements of this machine, and converted models."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(kind: str) -> Path:
    """`$XLIFT_CACHE/KIND`, else `$XDG_CACHE_HOME/xlift/KIND`, else `~/.cache/xlift/KIND`. It may not exist yet."""
    if "XLIFT_CACHE" in os.environ:
        return Path(os.environ["XLIFT_CACHE"]) / kind
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "xlift" / kind
