"""Read a study from a YAML file and validate it. Every error names file, line and key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from xlift.claims import ClaimSet, read_claims_entry
from xlift.errors import UserError, did_you_mean, quote_hint
from xlift.recipes import Settings
from xlift.studies.study import Study, shipped_studies
from xlift.yaml_document import Document, Keys, is_number, parse_yaml, to_number

Override = tuple[Keys, str]
"""The keys that a `--set` option sets, and its text."""


@dataclass(frozen=True)
class StudyFile:
    """A validated study with its path and the lines of its keys."""

    study: Study
    path: Path
    document: Document
    overrides: tuple[Override, ...] = ()
    pins: Mapping[str, str] = field(default_factory=dict)
    """Custom task -> commit of its dataset of the Hub, if a run has pinned one (`record.pin_commits`)."""

    @property
    def folder(self) -> Path:
        """The folder that relative paths of the study start from."""
        return self.path.parent

    def data_folder(self, data: Path | None) -> Path | None:
        """The root folder of data files: `data` if given, else the folder that the study's `data:` names."""
        return data if data is not None else (self.folder / self.study.data if self.study.data else None)

    def read_claims(self) -> ClaimSet | None:
        """The claims of the study; None if it has none. Raises UserError if they are not valid."""
        entry = self.study.claims
        return read_claims_entry(entry, self.folder, lambda keys: self.locate("claims", *keys)) if entry else None

    def locate(self, *keys: str | int) -> str:
        """`locate("targets", 0, "task")` -> "file.yaml:12: targets.0.task", or the `--set` option that set the key."""
        return _locate(self.path, self.document, self.overrides, keys)


def read_study(study: str, overrides: tuple[str, ...] = ()) -> StudyFile:
    """Read a study from a file or by the name of a shipped one.

    Args:
        overrides: `key.subkey=value` settings (list items by number), applied before validation.

    Raises:
        UserError: no such file, not YAML, or not a valid study (file:line: key: what).
    """
    path = _find_study(study)
    return parse_study(_read_text(path), path, overrides)


def parse_study(text: str, path: Path, overrides: tuple[str, ...] = ()) -> StudyFile:
    """Read a study from its text.

    Args:
        path: of its file, for messages and for relative paths; it is not read.

    Raises:
        UserError: as `read_study`.
    """
    document = parse_yaml(text, str(path))
    if document.value is None:
        raise UserError("the file is empty", where=str(path), fix="a study needs at least `targets:`.")
    if not isinstance(document.value, dict):
        raise UserError(
            "not a study", where=f"{path}:1", fix="expected lines of `key: value`, such as `targets: [...]`."
        )
    applied = tuple(_apply_override(document.value, override) for override in overrides)
    try:
        parsed = Study.model_validate(_with_tuples(document.value), strict=True)
    except ValidationError as error:
        raise _first_error(error, path, document, applied) from None
    name = parsed.name or re.sub(r"[^\w.-]+", "-", path.stem).strip(".-") or "study"
    return StudyFile(parsed.model_copy(update={"name": name}), path, document, applied)


def _find_study(study: str) -> Path:
    path, shipped = Path(study), shipped_studies()
    if path.is_file():
        return path
    if study in shipped:
        return shipped[study]
    if path.is_dir():
        raise UserError(f"'{study}' is a folder", fix="name one of the YAML files in it.")
    names = [*shipped, *(str(file) for file in path.parent.glob("*.yaml"))] if path.parent.is_dir() else list(shipped)
    raise UserError(
        f"no study '{study}'",
        fix=f"{did_you_mean(study, names)}Expected a YAML file, or a study that ships with xlift: {', '.join(shipped)}.",
    )


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # drops a byte-order mark
    except UnicodeDecodeError as error:
        line = path.read_bytes().count(b"\n", 0, error.start) + 1
        raise UserError("not UTF-8 text", where=f"{path}:{line}", fix="save the file as UTF-8.") from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path)) from None


# --- --set ------------------------------------------------------------------------------------------------------------


def _apply_override(raw: dict[str, Any], override: str) -> Override:
    """Apply one `key.subkey=value`. It adds missing sections; validation refuses unknown keys later."""
    where = f"--set {override}"
    name, equals, text = override.partition("=")
    steps = name.split(".")
    if not equals or not all(steps):
        raise UserError(
            "expected key=value", where=where, fix="for example --set 'seeds=[1, 2]', --set training.lr=0.001."
        )
    node: Any = raw
    keys: list[str | int] = []
    for at, step in enumerate(steps):
        if isinstance(node, list):
            if not step.isdecimal() or int(step) >= len(node):
                count = f"{len(node)} {'item' if len(node) == 1 else 'items'}"
                raise UserError(
                    f"'{'.'.join(map(str, keys))}' has {count} and no '{step}'", where=where,
                    fix="items are numbered from 0.",
                )  # fmt: skip
            key: Any = int(step)
        elif isinstance(node, dict):
            key = step
        else:
            raise UserError(
                f"'{'.'.join(map(str, keys))}' is a plain value without keys", where=where,
                fix="check the key against the study.",
            )  # fmt: skip
        keys.append(key)
        if at == len(steps) - 1:
            node[key] = _parse_override(text, where)
        elif isinstance(node, dict) and node.get(key) is None:
            node[key] = {}
        node = node[key]
    return tuple(keys), override


def _parse_override(text: str, where: str) -> Any:
    if is_number(text):
        return to_number(text)
    try:
        return parse_yaml(text, where).value
    except UserError as error:
        raise UserError(error.what, where=where, fix=error.fix) from None  # without the line, which is always the first


def _with_tuples(value: Any) -> Any:
    """Replace lists by tuples: strict validation expects them."""
    if isinstance(value, dict):
        return {key: _with_tuples(item) for key, item in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


# --- errors -----------------------------------------------------------------------------------------------------------

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "lines of `key: value`",
    "model_type": "lines of `key: value`",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le:g} or less",
    "literal_error": "{expected}",
    "none_required": "nothing",
}
"""pydantic's error type -> the expected value."""


def _locate(path: Path, document: Document, overrides: Iterable[Override], keys: Keys) -> str:
    name = ".".join(map(str, keys))
    for at, option in overrides:
        is_new_section = keys == at[: len(keys)] and keys not in document.lines
        if is_new_section or keys[: len(at)] == at:
            return f"--set {option}"
    line = document.line(keys)
    place = f"{path}:{line}" if line else str(path)
    return f"{place}: {name}" if name else place


def _first_error(error: ValidationError, path: Path, document: Document, overrides: tuple[Override, ...]) -> UserError:
    """The first error in the order of the file, as a UserError."""
    errors = error.errors(include_url=False)
    # pydantic does not count invalid items, so a list of one invalid item is too short for it as well
    errors = [each for each in errors if each["type"] != "too_short" or not each["input"]]
    details = [(_error_keys(detail, document.value), detail) for detail in errors]
    keys, detail = min(details, key=lambda each: document.line(each[0]) or 0)
    where, context, found = _locate(path, document, overrides, keys), detail.get("ctx", {}), detail["input"]
    if detail["type"] == "missing":
        return UserError(
            f"'{keys[-1]}' is missing", where=where, fix=f"add it. {_allowed_keys(detail['loc'][:-1], having=keys[-1])}"
        )
    if detail["type"] in ("too_short", "string_too_short"):
        return UserError("the value is empty", where=where, fix="give at least one.")
    expected = [_EXPECTED.get(d["type"], "").format(**d.get("ctx", {})) for at, d in details if at == keys]
    if not all(expected):  # raised by a validator of xlift
        hint = quote_hint(found, document.written.get(keys, "")) if context.get("takes_text") else ""
        fix = context.get("fix") or (
            f"found {_show(found)}. {hint}".rstrip()
            if isinstance(found, str | int | float)
            else hint or _suggest_keys(detail)
        )
        return UserError(detail["msg"].removeprefix("Value error, "), where=where, fix=fix)
    return UserError(
        f"expected {' or '.join(expected)}, found {_show(found)}",
        where=where,
        fix=_suggest_fix(detail, found, keys, document),
    )


def _error_keys(detail: Any, value: Any) -> Keys:
    """The keys of the study that an error is about. pydantic's location also has union members, which are no keys."""
    keys: list[str | int] = []
    for key in detail["loc"]:
        if isinstance(value, dict) and key in value or isinstance(value, list) and isinstance(key, int):
            keys.append(key)
            value = value[key]
        elif detail["type"] == "missing" and key == detail["loc"][-1]:
            keys.append(key)
    return (*keys, *detail.get("ctx", {}).get("keys", ()))


def _suggest_fix(detail: Any, found: Any, keys: Keys, document: Document) -> str:
    kind = detail["type"]
    if kind == "int_type" and isinstance(found, float) and found.is_integer():
        return f"write {found:.0f}."
    if kind in ("int_type", "float_type") and isinstance(found, str) and is_number(found):
        return (
            f"write {to_number(found):.0f}." if kind == "int_type" else f"in quotes it is text; write {found} without."
        )
    hint = quote_hint(found, document.written.get(keys, ""))
    if kind == "string_type" and hint:
        return hint
    if kind == "tuple_type" and not isinstance(found, dict):
        # no list of a study holds true or nothing
        is_text = found is None or isinstance(found, bool)
        return f"write a list in brackets. {hint}" if is_text and hint else f"write it in brackets: [{found}]."
    if kind == "literal_error" and isinstance(found, str):
        guess = did_you_mean(found, re.findall(r"'([^']*)'", detail["ctx"]["expected"]))
        return guess.strip() or "write one of these values."
    return _suggest_keys(detail) if kind in ("dict_type", "model_type") else "write such a value."


def _suggest_keys(detail: Any) -> str:
    return _allowed_keys(detail["loc"]) or "write such a value."


def _allowed_keys(location: tuple[str | int, ...], having: str | int = "") -> str:
    """'Allowed keys: ...' for the section at one of pydantic's locations; '' where it has no fixed keys.

    Args:
        having: of several possible sections, use those with this key.
    """
    sections: list[type[Settings]] = [Study]
    for step in location:
        fields = [section.model_fields[step] for section in sections if step in section.model_fields]
        if fields:  # list items and union members do not change the section
            sections = [section for field in fields for section in _sections_in(field.annotation)]
    sections = [section for section in sections if having in section.model_fields] or sections
    names = dict.fromkeys(name for section in sections for name in section.model_fields)
    return f"Allowed keys: {', '.join(names)}." if names else ""


def _sections_in(annotation: Any) -> Iterator[type[Settings]]:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections_in(argument)


def _show(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "nothing" if value is None else str(value).lower()
    if isinstance(value, dict | tuple | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return repr(value)
