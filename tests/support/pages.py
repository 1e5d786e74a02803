"""The pages of the docs: their blocks, commands, sections and tables, and how their commands run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = ("tutorial", "custom-task", "reference", "how-to", "intervals", "models", "text-mode", "translation", "robustness",
         "glossary", "scores")  # fmt: skip
DOCS = {name: (ROOT / "docs" / f"{name}.md") for name in PAGES}
OF_THE_HUB = ("text-mode",)
"""Pages whose studies name models that are not here."""


class Block(NamedTuple):
    kind: str
    file: str
    """Name of the file that the block is, if it is one."""
    text: str


def blocks(page: str, *kinds: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found = re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```$", DOCS[page].read_text(encoding="utf-8"), re.M | re.S)
    return [Block(*block) for block in found if block[0] in kinds]


def commands(page: str) -> list[str]:
    """Every `xlift ...` of the page's shell blocks, up to a comment, a pipe or a redirection."""
    lines = [line for block in blocks(page, "sh", "console") for line in block.text.splitlines()]
    found = [re.match(r"(?:\$ )?(?:nohup )?(xlift [^#|>]*)", line) for line in lines]
    return [match[1].strip() for match in found if match]


def section(page: str, heading: str) -> str:
    """What stands between a heading of any level and the next heading."""
    text = re.sub(r"^```.*?^```$", "", DOCS[page].read_text(encoding="utf-8"), flags=re.M | re.S)
    found = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#|\Z)", text, re.M | re.S)
    assert found, f"{DOCS[page].name} has no section '{heading}'"
    return found[1]


def table(page: str, heading: str) -> dict[str, list[str]]:
    """First cell, without marks -> the other cells, of the first table of a section."""
    lines = [line for line in section(page, heading).splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return {row[0].strip("*`"): row[1:] for row in rows}


def shell(command: list[str], folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    environment = {key: value for key, value in environment.items() if not key.startswith("XLIFT_")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def xlift(command: str, folder: Path) -> str:
    return shell([sys.executable, "-m", *shlex.split(command)], folder)
