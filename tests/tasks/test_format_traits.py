"""A format owns its traits: no module outside of the formats decides anything by a format's name."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import xlift
from xlift.tasks import formats, metrics
from xlift.tasks.formats.base import Format

ROOT = Path(xlift.__file__).parent
NAMES = frozenset(formats.FORMATS)
COMMON_WORDS = {"text", "translation"}
"""Names that are also fields of examples, heads and modes. They count only beside an expression that names a format."""
DECLARATIONS = {
    "tasks/formats/": "the formats themselves",
    "tasks/sources/readers/jsonl_labels.py": "a reader that declares the formats it can read",
    "tasks/sources/readers/aligned_lines.py": "the same",
    "tasks/sources/readers/json_records.py": "a reader that leaves one format to another reader of .json files",
    "suites/definitions.py": "categories of XTREME with names of formats",
    "archipelago/examples.py": "kinds of generated examples with names of formats",
}
"""Modules that may list names of formats, and why."""


def _names_format(node: ast.AST) -> bool:
    """Whether an expression is about formats: `task.format`, `format`, `FORMATS`."""
    return ast.unparse(node).lower().split("(")[0].endswith(("format", "formats", "formats.get"))


def _constants(node: ast.AST) -> set[str]:
    """The strings of a constant or of a literal list of constants."""
    parts = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]
    return {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def _uses(strings: set[str], *beside: ast.AST) -> bool:
    """Whether strings are names of formats, given the expressions that they stand beside."""
    return bool(strings & (NAMES if any(map(_names_format, beside)) else NAMES - COMMON_WORDS))


def lookups(tree: ast.AST) -> Iterator[int]:
    """Lines that compare with, match, or look up by the name of a format, or list names to do so."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, comparators=others):
                sides = [left, *others]
                if any(_uses(_constants(side), *(other for other in sides if other is not side)) for side in sides):
                    yield node.lineno
            case ast.MatchValue(value=value) if _uses(_constants(value)):
                yield node.lineno
            case ast.Dict(keys=keys) if _uses({text for key in keys if key for text in _constants(key)}):
                yield node.lineno
            case ast.Subscript(value=value, slice=ast.Constant() as key) if _uses(_constants(key), value):
                yield node.lineno
            case ast.Call(func=ast.Attribute(attr="get") as function, args=[key, *_]):
                if _uses(_constants(key), function, function.value):
                    yield node.lineno
            case ast.arguments(args=args, posonlyargs=before, kwonlyargs=after, defaults=defaults, kw_defaults=others):
                named = [*zip([*before, *args][::-1], defaults[::-1]), *zip(after, others)]
                if any(default and _uses(_constants(default), ast.Name(arg.arg)) for arg, default in named):
                    yield named[0][1].lineno if named[0][1] else 0
            case ast.Assign(value=ast.Tuple() | ast.List() | ast.Set() as value):
                if _uses(_constants(value)) and _constants(value) <= NAMES:
                    yield node.lineno


def test_no_module_outside_of_the_formats_looks_up_a_name():
    found: dict[str, list[int]] = {}
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(tuple(DECLARATIONS)) and (lines := list(lookups(ast.parse(path.read_bytes())))):
            found[name] = lines
    assert found == {}  # module -> lines


@pytest.mark.parametrize(
    "code",
    [
        "task.format == 'tagging'",
        "'span-qa' != name",
        "task.format in ('retrieval', 'mining')",
        "if format == 'text': pass",
        "match name:\n    case 'mining': pass",
        "{'classification': 1}[name]",
        "formats.get('text')",
        "FORMATS['translation']",
        "def f(format='text'): pass",
        "TRAINABLE = ('classification', 'tagging')",
    ],
)
def test_lookups_are_found(code: str):
    assert list(lookups(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    ["record['text']", "{'text': a, 'translation': b}", "mode == 'text'", "formats.get(task.format)", "f('tagging')"],
)
def test_other_uses_of_the_same_words_are_not_counted(code: str):
    assert not list(lookups(ast.parse(code)))


@pytest.mark.parametrize("name", formats.FORMATS)
def test_every_trait_is_one_that_other_code_asks_for(name: str):
    # a misspelt trait would be ignored
    known = {*vars(Format), *Format.__annotations__}
    for part in type(formats.get(name)).__mro__[:-1]:
        values = {key for key, value in vars(part).items() if key[0] != "_" and not inspect.isroutine(value)}
        assert values <= known, part


@pytest.mark.parametrize("name", formats.FORMATS)
def test_traits_of_a_format_agree(name: str):
    format = formats.get(name)
    assert format.name == name
    scoring = [metric.name for metric in metrics.of_format(name)]
    assert set(format.default_metrics) <= set(scoring)
    assert bool(scoring) != format.is_plain_text
    assert set(format.prediction_fields) <= set(format.columns)
    assert set(format.input_fields) <= set(format.columns)
    assert bool(format.default_metrics) != format.is_plain_text  # all others are scored
    assert format.has_head or not format.no_text_mode  # something must predict
    assert bool(format.input_fields) == bool(format.is_trainable and not format.ranks_pool and not format.is_plain_text)
