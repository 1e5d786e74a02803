"""Parse a YAML file into plain values and the line of every key, with PyYAML's safe loader and stricter rules.

It refuses, with the line: repeated keys (PyYAML keeps the last), keys that are not text (`no:` is false in YAML), control characters, tags
(`!!python/...`), and documents that grow without limit through aliases. Dates stay text; `1e-5` is a number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from xlift.errors import UserError, quote_hint

MAX_VALUES = 50_000
"""Maximum number of values of a document after its aliases are expanded; a study has a few hundred."""

_YAML = "tag:yaml.org,2002:"
_SCALARS = tuple(_YAML + name for name in ("null", "bool", "int", "float"))
_TEXTS = tuple(_YAML + name for name in ("str", "timestamp", "value"))
_CONSTRUCTOR = yaml.constructor.SafeConstructor()
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters but for line breaks and tabs, and halves of surrogate pairs, which no file can have as UTF-8."""

Keys = tuple[str | int, ...]


@dataclass
class Document:
    value: Any = None
    lines: dict[Keys, int] = field(default_factory=dict)
    """Keys of a value -> line (from 1) of its key or list item."""
    written: dict[Keys, str] = field(default_factory=dict)
    """Keys of a plain value -> its text in the file: 'no' where the value is False."""

    def line(self, keys: Keys) -> int | None:
        """The line of a value, or of the nearest section around it; None in an empty document."""
        return next((self.lines[keys[:n]] for n in range(len(keys), -1, -1) if keys[:n] in self.lines), None)


def parse_yaml(text: str, where: str) -> Document:
    """Parse a YAML text; `where` names it in messages.

    Raises:
        UserError: not YAML, or something that this module refuses.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        document = Document()
        if node is not None:
            document.value = _Reader(document, where).value(node, (), node.start_mark.line + 1)
    except yaml.YAMLError as error:
        raise _syntax_error(error, text, where) from None
    except RecursionError:
        raise UserError(
            "too many lists or mappings inside each other", where=where, fix="a study needs five."
        ) from None
    return document


def is_number(text: str) -> bool:
    """Whether a text is a decimal number. YAML 1.1 reads `1e-5` as text, since it has no point."""
    return _NUMBER.fullmatch(text) is not None


def to_number(text: str) -> int | float:
    return float(text) if re.search(r"[.eE]", text) else int(text)


class _Reader:
    def __init__(self, document: Document, where: str) -> None:
        self.document, self.where, self.count = document, where, 0

    def value(self, node: yaml.Node, keys: Keys, line: int) -> Any:
        self.count += 1
        if self.count > MAX_VALUES:
            raise UserError(
                f"more than {MAX_VALUES:,} values after aliases (`*name`) are expanded",
                where=self.where,
                fix="a study has a few hundred; look for aliases inside aliases.",
            )
        self.document.lines[keys] = line
        if isinstance(node, yaml.MappingNode) and node.tag == _YAML + "map":
            return self._mapping(node, keys)
        if isinstance(node, yaml.SequenceNode) and node.tag == _YAML + "seq":
            return [self.value(item, (*keys, at), item.start_mark.line + 1) for at, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
            self.document.written[keys] = node.value
            return self._scalar(node)
        if (
            isinstance(node, yaml.ScalarNode)
            and node.tag == _YAML + "str"
            and node.style is None
            and is_number(node.value)
        ):
            self.document.written[keys] = node.value
            return float(node.value)
        if isinstance(node, yaml.ScalarNode) and node.tag in _TEXTS:
            return self._text(node)
        tag = node.tag.replace(_YAML, "!!")
        raise UserError(
            f"the tag {tag} is not allowed", where=self._place(node), fix="write plain text, numbers and lists."
        )

    def _mapping(self, node: yaml.MappingNode, keys: Keys) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        line = self.document.lines[keys]
        for key, value in node.value:
            if key.tag == _YAML + "merge":  # `<<: *other`: keys of this mapping override merged ones
                for source in reversed(value.value if isinstance(value, yaml.SequenceNode) else [value]):
                    found = self.value(source, keys, line)
                    if not isinstance(found, dict):
                        raise UserError("`<<` takes a mapping", where=self._place(key), fix="write `<<: *name`.")
                    merged |= found
        own: dict[str, Any] = {}
        for key, value in node.value:
            if key.tag == _YAML + "merge":
                continue
            name = self._key(key)
            if name in own:
                before = self.document.lines[*keys, name]
                raise UserError(
                    f"the key '{name}' is repeated; it is also on line {before}",
                    where=self._place(key),
                    fix="keep one of them; YAML would silently take the last.",
                )
            own[name] = self.value(value, (*keys, name), key.start_mark.line + 1)
        return merged | own

    def _key(self, node: yaml.Node) -> str:
        if isinstance(node, yaml.ScalarNode) and node.tag in _TEXTS:
            return self._text(node)
        if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
            hint = quote_hint(self._scalar(node), node.value)
            raise UserError(
                f"YAML does not read the key {node.value} as text",
                where=self._place(node),
                fix=hint or f"put it in quotes: '{node.value}'.",
            )
        raise UserError("a list or a mapping cannot be a key", where=self._place(node), fix="expected `key: value`.")

    def _text(self, node: yaml.ScalarNode) -> str:
        """A text, which may become a name, a heading or a message: escapes (`"\\e"`) must not put control characters into it."""
        if found := _CONTROL.search(node.value):
            raise UserError(
                f"a text has the control character U+{ord(found[0]):04X}",
                where=self._place(node),
                fix="remove the escape.",
            )
        return node.value

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        try:
            return _CONSTRUCTOR.construct_object(node)
        except (ValueError, KeyError):  # `!!int abc`
            raise UserError(
                f"'{node.value}' is not {node.tag.removeprefix(_YAML)}", where=self._place(node), fix="remove the tag."
            ) from None

    def _place(self, node: yaml.Node) -> str:
        return f"{self.where}:{node.start_mark.line + 1}"


def _syntax_error(error: yaml.YAMLError, text: str, where: str) -> UserError:
    """PyYAML's error in one line, with a fix for the usual causes."""
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return UserError(
            f"YAML does not allow the character U+{int(error.character):04X}",
            where=f"{where}:{line}",
            fix="check that it is a text file. Remove the character, or save the file as UTF-8.",
        )
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return UserError(f"not valid YAML: {error}", where=where)
    mark, what = error.problem_mark, error.problem or "cannot be read"
    if error.context and error.context_mark:
        what += f" ({error.context} that began on line {error.context_mark.line + 1})"
    if "<stream end>" in what and error.context_mark:
        mark = error.context_mark  # an unclosed bracket: its line helps more than the end of the file
        what = what.replace("'<stream end>'", "the end of the file")
    if "'\\t'" in what:
        fix = "indent with spaces: YAML allows no tabs."
    elif "mapping values are not allowed" in what:
        fix = "check for a text with ': ' without quotes, and for wrong indentation."
    elif "found another document" in what:
        what = "a second document begins here"
        fix = "a study is one document: remove the line `---` in the middle."
    else:
        fix = "check indentation, colons, brackets and quotes on that line and the one before."
    return UserError(f"not valid YAML: {what}", where=f"{where}:{mark.line + 1}", fix=fix)
