"""The file that tells workers where the scheduler is. It has the token, so only its owner may read it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from xlift.execution.executors.server import Server


def write_connection_file(path: Path, server: Server) -> None:
    """Write the file with mode 600 from the start. Raises OSError."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "w", encoding="utf-8") as stream:
        json.dump(server.connection_settings(), stream)
