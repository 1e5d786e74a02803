"""Damage for single files and folders: bytes, JSON, YAML, links, pipes, pickles, strange names."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from tests.support.hostile_values import MARK, damage_value, to_json
from tests.support.mutations import mutate_bytes


class Payload:
    """A pickle that makes a file where it is read."""

    def __reduce__(self) -> Any:
        return open, ("../outside/pickled", "w")


def replace_file(path: Path, dice: random.Random) -> str:
    """Put something else in the place of a file: a link out of the folder, a folder, a pipe, a pickle, nothing."""
    kind = dice.randrange(8)
    path.unlink()
    if kind == 0:
        path.symlink_to(dice.choice(["../outside/secret.txt", "/etc/passwd", "/dev/zero", path.name, ".", "missing"]))
    elif kind == 1:
        path.symlink_to(Path.cwd().parent / "outside/secret.txt")
    elif kind == 2:
        path.mkdir()
    elif kind == 3:
        os.mkfifo(path)
    elif kind == 4:
        path.write_bytes(pickle.dumps(Payload()))
    elif kind == 5:
        path.write_bytes(
            dice.choice(
                [b"", b"\0" * 1000, b"PK\3\4", b"\x1f\x8b", b"\xff\xfe", b"{" * 5000, b"[" * 200_000, b"-" * 100_000]
            )
        )
    elif kind == 6:
        path.touch()
        path.chmod(0)
    return f"{path.name} is replaced ({kind})"


def replace_folder(path: Path, dice: random.Random) -> str:
    """Put a link, a file or nothing in the place of a folder."""
    shutil.rmtree(path)
    kind = dice.randrange(4)
    if kind == 0:
        path.symlink_to(Path.cwd().parent / "outside", target_is_directory=True)
    elif kind == 1:
        path.symlink_to(path.name)
    elif kind == 2:
        path.write_bytes(b"x")
    return f"{path.name}/ is replaced ({kind})"


def add_file(folder: Path, dice: random.Random) -> str:
    """Add a file of a strange name, or a copy of a file under one."""
    name = dice.choice(["--store", "a\nb", "x\x1b[2J.json", "..json", "...", ".hidden.json", "a b.json", f"<{MARK}>.json", f"={MARK}.json",
                        "é.json", "e\u0301.json", "study.json.json", "STUDY.json", "x" * 200 + ".json", "[bold].json", "-.json"])  # fmt: skip
    files = sorted(path for path in folder.iterdir() if path.is_file())
    content = (
        dice.choice(files).read_bytes()
        if files and dice.random() < 0.7
        else dice.choice([b"", b"{}", b"[]", b"null", b"\xff"])
    )
    (folder / name).write_bytes(content)
    return f"{folder.name}/{name!r} is added"


def damage_file(path: Path, dice: random.Random) -> str:
    if dice.random() < 0.2:
        return replace_file(path, dice)
    path.write_bytes(mutate_bytes(path.read_bytes(), f"{dice.random()}"))
    return f"bytes of {path.name}"


def damage_json_file(path: Path, dice: random.Random, keys: tuple[str, ...] = ()) -> str:
    if dice.random() < 0.15:
        return damage_file(path, dice)
    value, how = damage_value(json.loads(path.read_text(encoding="utf-8")), dice, keys)
    path.write_text(to_json(value, dice), encoding="utf-8")
    return f"{path.name}: {how}"


YAML_TOKENS = [
    "!!python/object/apply:os.system ['touch ../outside/ran']", "!!python/name:os.system", "!!python/object/new:open [../outside/ran, w]",
    "!!binary aGVsbG8=", "!!set {a, b}", "!!timestamp 2024-01-01", "!!int x", "!!float .inf", "!!null x", "!x y", "*missing", "&a [*a]",
    "<<: {a: 1}", "<<: [1]", "<<: x", "? [a, b]\n: c", "? {a: b}\n: c", "---\n", "...\n", "%YAML 9.9\n---\n", "\t", "\0", "\x1b[2J", "\u0085",
    "[" * 3000, "{a: " * 500, "- " * 3000, "a: &x {b: *x}", "'", '"', "|", ">", "#", ": ", "- ", "? ", ".nan", ".inf", "0o7", "0x_", "1e999",
    "9" * 5000, "190:20:30", "2024-13-45", "2001-01-01T99:00:00Z", "=", "<<", "~", '"\\ud800"', '"\\x00"', "\ufeff",
]  # fmt: skip
BOMB = "a: &a [x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 8)}]\n" for n in range(9)
)


def damage_yaml(path: Path, dice: random.Random, keys: tuple[str, ...] = ()) -> str:
    """Change values of a YAML file, its text, or its bytes."""
    kind, text = dice.random(), path.read_text(encoding="utf-8")
    if kind < 0.6:
        value, how = damage_value(yaml.safe_load(text), dice, keys)
        text = (
            yaml.safe_dump(value, allow_unicode=dice.random() < 0.5, sort_keys=False)
            if dice.random() < 0.5
            else to_json(value, dice)
        )
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        return f"{path.name}: {how}"
    if kind < 0.9:
        lines = text.splitlines(keepends=True)
        for _ in range(dice.choice([1, 1, 2])):
            at = dice.randrange(len(lines))
            token = dice.choice(YAML_TOKENS)
            cut = dice.randrange(len(lines[at]))
            colon = lines[at].find(": ") + 2
            lines[at] = dice.choice([
                lines[at] + lines[at], lines[at][:cut] + token + lines[at][cut:], lines[at][:colon] + token + "\n", token + "\n" + lines[at],
                "", " " + lines[at], lines[at][:cut], lines[at].replace(": ", f": {token} ", 1), BOMB + lines[at],
            ])  # fmt: skip
        path.write_bytes("".join(lines).encode("utf-8", "surrogatepass"))
        return f"{path.name}, lines"
    return damage_file(path, dice)


@cache
def study_keys() -> tuple[str, ...]:
    """Every key that a study may have."""
    from xlift.studies.json_schema import study_schema

    names: set[str] = set()

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            names.update(value.get("properties", {}))
            for each in value.values():
                collect(each)
        elif isinstance(value, list):
            for each in value:
                collect(each)

    collect(study_schema())
    return tuple(sorted(names))
