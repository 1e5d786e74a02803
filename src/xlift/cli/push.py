"""`xlift push`: upload an exported model to the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def push(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder that `xlift export` wrote.", show_default=False)
    ],
    repository: Annotated[str, typer.Argument(metavar="REPO", help="USER/NAME on the Hub.", show_default=False)],
    public: Annotated[bool, typer.Option("--public", help="Make the repository public.")] = False,
) -> None:
    """Upload an exported model to a private Hub repository.

    Uses the token of `hf auth login` or HF_TOKEN. Creates the repository if needed and uploads all files in one commit.
    """
    from xlift.hub.upload import upload

    print(f"Uploaded to {upload(folder, repository, public=public)}")
