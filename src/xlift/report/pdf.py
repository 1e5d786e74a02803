"""The report page as PDF, printed by an installed Chromium or Chrome."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from xlift.errors import UserError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
MACOS_BROWSERS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
TIMEOUT = 300
"""Seconds."""


def find_browser() -> str:
    """The path of an installed Chromium or Chrome, or what the variable CHROME names.

    Raises:
        UserError: there is none.
    """
    candidates = (os.environ.get("CHROME", ""), *BROWSERS, *MACOS_BROWSERS)
    if found := next(filter(None, map(shutil.which, candidates)), None):
        return found
    raise UserError(
        "no Chromium or Chrome is installed, which prints the page",
        where="--pdf",
        fix="Install one, or set CHROME to its path. Or write the page with --html and print it to PDF in any browser.",
    )


def print_page(page: str, path: Path, browser: str) -> None:
    """Print an HTML page to a PDF file.

    Raises:
        UserError: the file cannot be written, or the browser fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "page.html"), Path(folder, "page.pdf")
        source.write_text(page, encoding="utf-8")
        command = [
            browser,
            "--headless",
            "--disable-gpu",
            "--no-pdf-header-footer",
            f"--user-data-dir={folder}/profile",
        ]
        # Chromium refuses its sandbox to root. The page runs no script but its own.
        command += ["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else []
        try:
            run = subprocess.run(
                [*command, f"--print-to-pdf={made}", source.as_uri()],
                capture_output=True, text=True, errors="replace", timeout=TIMEOUT, check=False,
            )  # fmt: skip
            reason = (run.stderr.strip().splitlines() or [f"exit code {run.returncode}"])[-1]
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = str(error)
        if not made.is_file():
            raise UserError(
                f"the browser made no PDF: {reason[:200]}",
                where=browser,
                fix="Write the page with --html and print it to PDF in a browser.",
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(made, path)
        except OSError as error:
            raise UserError(
                f"cannot write the PDF: {error.strerror}", where=str(path), fix="Name another file."
            ) from None
