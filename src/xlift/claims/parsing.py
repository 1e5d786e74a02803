"""Read claims from YAML. Every error names file, line and key.

question: Does an intermediate task in the source language lift the other languages?
source: [phang-2020]
delta: {mean: 1.0, language: 2.0}
claims:
  - name: qa-lifts
    text: Question answering lifts the mean of the targets.
    lift: isle-qa
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xlift.claims.checks import Locate, Reader
from xlift.claims.claim import ZERO_SHOT, Claim, ClaimSet
from xlift.claims.entry import Entry
from xlift.errors import UserError, did_you_mean
from xlift.yaml_document import Keys, parse_yaml

DELTA = {"mean": 1.0, "language": 2.0}
"""The smallest effect of interest in points: of means, and of one language of one target."""

_FILE_KEYS = ("question", "source", "delta", "languages", "names", "claims")


def shipped_claims() -> dict[str, Path]:
    """Name -> file of the claims inside the package."""
    folder = Path(__file__).parent.parent / "shipped" / "claims"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read_claims(file: str, folder: Path = Path(), where: str = "") -> ClaimSet:
    """Read a claims file, or one that ships with xlift by its name.

    Args:
        folder: relative paths start here.
        where: what names the file, for messages.

    Raises:
        UserError: no such file, not YAML, or not valid claims (file:line: key: what).
    """
    shipped, path = shipped_claims(), folder / file
    if not path.is_file():
        if file not in shipped:
            names = [*shipped, *(each.name for each in folder.glob("*.yaml"))]
            raise UserError(
                f"no claims '{file}'",
                where=where,
                fix=f"{did_you_mean(file, names)}Expected a YAML file, or claims that ship with xlift: "
                f"{', '.join(shipped)}.",
            )
        path = shipped[file]
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", where=str(path), fix="give a text file in UTF-8.") from None
    document = parse_yaml(text, str(path))

    def locate(keys: Keys) -> str:
        line = document.line(keys)
        place = f"{path}:{line}" if line else str(path)
        return f"{place}: {'.'.join(map(str, keys))}" if keys else place

    return parse_claims(document.value, locate, str(path))


def read_claims_entry(entry: Any, folder: Path, locate: Locate) -> ClaimSet:
    """The claims of a study: a file, a file with `names`, or the claims themselves.

    Args:
        entry: the value of `claims:` in the study.
        folder: of the study; relative paths start here.
        locate: keys inside of `entry` -> place.
    """
    reader = Reader(locate)
    if isinstance(entry, str):
        return read_claims(entry, folder, locate(()))
    if not isinstance(entry, dict) or "file" not in entry:
        return parse_claims(entry, locate, locate(()))
    reader.check_keys(entry, ("file", "names"), ())
    claim_set = read_claims(reader.text(entry["file"], ("file",)), folder, locate(("file",)))
    return reader.add_study_names(claim_set, entry.get("names", {}))


def parse_claims(value: Any, locate: Locate, file: str = "") -> ClaimSet:
    """Claims from plain values (mappings, lists, text, numbers).

    Args:
        file: where they were read.

    Raises:
        UserError: they are not valid; the place is that of `locate`.
    """
    reader = Reader(locate)
    if not isinstance(value, dict):
        raise reader.error("expected claims", (), "write `claims:` with a list, each with `name`, `text` and a kind.")
    if isinstance(value.get("claims"), dict):  # those of a file, with the names of a study
        reader.check_keys(value, ("claims", "names"), ())
        inner = parse_claims(value["claims"], lambda keys: locate(("claims", *keys)), file)
        return reader.add_study_names(inner, value.get("names", {}))
    reader.check_keys(value, _FILE_KEYS, ())
    delta = DELTA | reader.numbers(value.get("delta", {}), tuple(DELTA), ("delta",))
    names = reader.mapping_of_names(value.get("names", {}), ("names",))
    languages = reader.names(value["languages"], ("languages",)) if "languages" in value else (ZERO_SHOT,)
    listed = value.get("claims")
    if not isinstance(listed, list | tuple) or not listed:
        raise reader.error("expected a list of claims", ("claims",) if "claims" in value else (), "write at least one.")
    claims: list[Claim] = []
    for at, entry in enumerate(listed):
        claim = Entry(reader, entry, ("claims", at), dict(names), delta, languages).claim()
        if any(other.name == claim.name for other in claims):
            raise reader.error(f"two claims are called '{claim.name}'", ("claims", at, "name"), "rename one of them.")
        claims.append(claim)
    reader.check_used(dict(names), claims, ("names",))
    question = reader.text(value["question"], ("question",)) if value.get("question") else ""
    source = reader.names(value["source"], ("source",)) if value.get("source") else ()
    return ClaimSet(tuple(claims), question, source, names, file=file)
