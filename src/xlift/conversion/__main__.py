"""`python -m xlift.conversion SOURCE FOLDER`: the process that converts a model. Its last line on stderr is the error as JSON."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

from xlift.errors import UserError


def main(source: Path, folder: Path) -> int:
    from xlift.conversion.checkpoint import convert_checkpoint

    try:
        convert_checkpoint(source, folder)
    except UserError as error:
        print(json.dumps({"what": error.what, "where": error.where, "fix": error.fix}), file=sys.stderr)
        return 2
    except OSError as error:
        what = f"the converted model cannot be written: {error.strerror or error}"
        print(json.dumps({"what": what, "where": str(error.filename or folder)}), file=sys.stderr)
        return 2
    return 0


def end_with_parent() -> None:
    """End this process when the process that started it has ended, also by SIGKILL: its standard input is then at its end."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
