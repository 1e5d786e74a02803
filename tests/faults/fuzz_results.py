"""Damage for finished stores and bundles of results: files, sealed manifests, records, tables, zip files."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.faults import fuzz_tables
from tests.faults.fuzz_files import add_file, damage_file, damage_json_file, replace_file, replace_folder, study_keys
from tests.support.hostile_values import TEXTS, damage_value, to_json
from tests.support.mutations import mutate_bytes

# --- stores -----------------------------------------------------------------------------------------------------------


def damage_store(folder: Path, dice: random.Random) -> str:
    """Damage a file or a folder of the store as it lies on the disk."""
    store = folder / "s"
    everything = sorted(path for path in store.rglob("*"))
    kind = dice.random()
    if kind < 0.1:
        return replace_folder(dice.choice([path for path in everything if path.is_dir()]), dice)
    if kind < 0.2:
        return add_file(dice.choice([store, *(path for path in everything if path.is_dir())]), dice)
    path = dice.choice([path for path in everything if path.is_file()])
    if kind < 0.3:
        return replace_file(path, dice)
    return damage_json_file(path, dice) if path.suffix == ".json" else damage_file(path, dice)


def reseal(folder: Path, manifest: dict[str, Any], *, with_files: bool = True) -> None:
    """Write a manifest whose digests and seal are right."""
    from xlift.studies.artifact import SCORES, add_seal, files_digest

    if with_files:
        for name in manifest["files"]:
            content = (folder / name).read_bytes()
            manifest["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        manifest["sha256"] = files_digest(
            {name: each["sha256"] for name, each in manifest["files"].items() if name != SCORES}
        )
    try:
        sealed = add_seal(manifest)
    except (
        ValueError,
        TypeError,
        UnicodeError,
        RecursionError,
    ):  # numbers that JSON lacks: a stranger writes them all the same
        sealed = seal_by_hand(manifest)
    (folder / "manifest.json").write_bytes(sealed)


def seal_by_hand(content: Any) -> bytes:
    """A sealed JSON text with values that `add_seal` refuses."""
    try:
        text = json.dumps(content, sort_keys=True)
        return json.dumps({**content, "seal": hashlib.sha256(text.encode()).hexdigest()}).encode()
    except (RecursionError, TypeError):
        return json.dumps(content).encode() if isinstance(content, str | list) else b"{}"


def damage_manifest(folder: Path, dice: random.Random) -> str:
    """Change a manifest of the store, and seal it again."""
    paths = sorted((folder / "s").glob("artifacts/*/*/manifest.json"))
    path = dice.choice(paths)
    manifest = json.loads(path.read_text(encoding="utf-8"))
    del manifest["seal"]
    changed, how = damage_value(
        manifest, dice, ("lr", "attempts", "loss_curve", "dev_curve", "layer", "peak_memory_bytes")
    )
    reseal(path.parent, changed, with_files=False)
    return f"a {manifest['kind']} manifest, sealed again: {how}"


def damage_record(folder: Path, dice: random.Random) -> str:
    return damage_json_file(
        folder / dice.choice(["s/studies/study.json"] * 5 + ["s/contamination/study.json"]), dice, study_keys()
    )


def damage_predictions(folder: Path, dice: random.Random) -> str:
    """Change a table of predictions, with digests that are right."""
    path = dice.choice(sorted((folder / "s").glob("artifacts/*/*/*.parquet")))
    how = fuzz_tables.damage_table(path, dice)
    manifest = json.loads((path.parent / "manifest.json").read_text(encoding="utf-8"))
    del manifest["seal"]
    reseal(path.parent, manifest)
    if dice.random() < 0.5:
        bundle_again(folder)
    return f"{path.name}: {how}"


def bundle_again(folder: Path) -> None:
    """Put the tables and manifests of the store into the bundle `b.zip`, as a stranger would, without checks."""
    from xlift.studies.bundle_files import open_files

    opened = open_files(folder / "b.zip")
    files = {name: opened.read(name) for name in opened.files}
    lines = []
    for line in files["manifests.jsonl"].splitlines():
        own = folder / "s" / "artifacts" / (key := json.loads(line)["key"])[:2] / key / "manifest.json"
        lines.append(json.dumps(json.loads(own.read_text())).encode() if own.exists() else line)
        for path in own.parent.glob("*.parquet"):
            files[f"artifacts/{key}/{path.name}"] = path.read_bytes()
    files["manifests.jsonl"] = b"\n".join(lines) + b"\n"
    rewrite_bundle(folder, opened.study, files)


# --- bundles ----------------------------------------------------------------------------------------------------------


def rewrite_bundle(folder: Path, study: str, files: Mapping[str, bytes]) -> None:
    from xlift.studies.bundle_files import write_files

    (folder / "b.zip").unlink()
    write_files(folder / "b.zip", study, files)


def damage_bundle(folder: Path, dice: random.Random) -> str:
    """Change the content of a bundle with digests that are right, its index, or the zip file; or its folder."""
    kind = dice.random()
    if kind < 0.15:
        return damage_bundle_folder(folder, dice)
    if kind < 0.45:
        return damage_zip(folder / "b.zip", dice)
    from xlift.studies.bundle_files import open_files

    opened = open_files(folder / "b.zip")
    files = {name: opened.read(name) for name in opened.files}
    name = dice.choice(["record.json"] * 3 + ["manifests.jsonl"] * 3 + ["contamination.json"] + sorted(files))
    if name == "manifests.jsonl":
        lines = [json.loads(line) for line in files[name].splitlines()]
        at = dice.randrange(len(lines))
        del lines[at]["seal"]
        changed, how = damage_value(lines[at], dice)
        sealed = [json.dumps(line).encode() for line in lines]
        sealed[at] = seal_by_hand(changed)
        if dice.random() < 0.1:
            sealed = dice.choice([sealed * 2, sealed[::-1], sealed[:1], [b""], [b"[]", b"null"]])
        files[name] = b"\n".join(sealed) + b"\n"
    elif name.endswith(".json"):
        value, how = damage_value(json.loads(files[name]), dice, study_keys())
        files[name] = to_json(value, dice).encode()
    else:
        files[name], how = mutate_bytes(files[name], f"{dice.random()}"), "bytes"
    rewrite_bundle(folder, opened.study, files)
    return f"bundle, {name}: {how}"


def damage_bundle_folder(folder: Path, dice: random.Random) -> str:
    (folder / "b.zip").unlink()
    shutil.move(folder / "b", folder / "b.zip")
    paths = sorted((folder / "b.zip").rglob("*"))
    path = dice.choice(paths)
    how = replace_folder(path, dice) if path.is_dir() else damage_file(path, dice)
    return f"folder of a bundle: {how}"


ESCAPES = ["../outside/escaped", "/../outside/escaped", "artifacts/../../outside/escaped", "..\\outside\\escaped", "record.json/../../outside/x",
           "/etc/escaped", "artifacts/" + "0" * 64 + "/../../../x", "\x00", "a\x00b", "", ".", "x" * 60_000, "é", "\x1b[2J", "record.json "]  # fmt: skip


def damage_zip(path: Path, dice: random.Random) -> str:
    """Change the index or the entries of a zip file: names that escape, links, bombs, repeated names, wrong sizes, bytes."""
    from xlift.studies.artifact import add_seal, check_seal

    content = path.read_bytes()
    kind = dice.randrange(8)
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        entries = [(entry.filename, old.read(entry)) for entry in old.infolist()]
    if kind == 0:
        path.write_bytes(mutate_bytes(content, f"{dice.random()}"))
        return "bytes of the zip file"
    if kind == 1:
        index, how = damage_value(check_seal(entries[0][1]), dice)
        entries[0] = ("bundle.json", seal_by_hand(index))
    elif kind == 2:
        index = check_seal(entries[0][1])
        name, how = dice.choice(ESCAPES), "a name that escapes"
        index["files"][name] = {"sha256": hashlib.sha256(b"x").hexdigest(), "bytes": 1}
        entries = [("bundle.json", add_seal(index)), *entries[1:], (name, b"x")]
    elif kind == 3:
        entries.append(dice.choice(entries))
        how = "a repeated entry"
    elif kind == 4:
        at = dice.randrange(len(entries))
        entries[at], how = (entries[at][0], b"0" * 30_000_000), "a bomb"
    elif kind == 5:
        how = "an entry is gone, or names are exchanged"
        one, other = dice.sample(range(len(entries)), 2)
        entries[one] = (entries[other][0] if dice.random() < 0.5 else "x", entries[one][1])
    elif kind == 6:
        index = check_seal(entries[0][1])
        index["study"], how = dice.choice(TEXTS[:24] + ["study", "../study", "s" * 300, "\u202e"]), "another study"
        entries[0] = ("bundle.json", seal_by_hand(index))
    else:  # fields of a header in the central directory: method, flags, sizes, attributes of a link
        at = content.rfind(b"PK\x01\x02", 0, dice.randrange(content.find(b"PK\x01\x02") + 4, len(content)))
        field, form, value = dice.choice([(8, "<H", 1), (10, "<H", 12), (10, "<H", 99), (20, "<I", 2**31), (24, "<I", 2**32 - 1), (38, "<I", 0o120777 << 16),
                                          (42, "<I", 2**32 - 1), (28, "<H", 65_535), (8, "<H", 0x800)])  # fmt: skip
        changed = bytearray(content)
        struct.pack_into(form, changed, at + field, value)
        path.write_bytes(changed)
        return f"a header of the zip file, {field}"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        warnings.simplefilter("ignore")  # of repeated names
        for name, data in entries:
            entry = zipfile.ZipInfo("x" if "\0" in name or not name else name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o120777 << 16 if dice.random() < 0.02 else 0
            new.writestr(entry, data)
    return f"zip file: {how}"
