"""The declaration of a custom task in a study: its keys, and errors for what is wrong in the declaration itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xlift.errors import UserError, closest, combine_errors, did_you_mean, quote_hint
from xlift.recipes import NAME, NAME_RULE
from xlift.tasks.formats import FORMATS
from xlift.tasks.sources.readers.base import Reader
from xlift.tasks.sources.readers.fields import COMMON_COLUMNS

if TYPE_CHECKING:
    FormatName = str
else:
    FormatName = Literal[tuple(FORMATS)]
Split = Literal["train", "dev", "test"]
Paths = str | list[str]
Keys = tuple[str | int, ...]
DEFAULT_CONFIG = "default"
"""The Hub's name of the configuration of a dataset without named ones."""
SEVERAL_COLUMNS = ("id", "choices")
"""Fields that may consist of several columns."""


class CustomTask(BaseModel):
    """A declaration in the YAML."""

    model_config = ConfigDict(
        extra="forbid", frozen=True,
        json_schema_extra={"anyOf": [{"required": ["files"]}, {"required": ["hub", "splits"]}]},
    )  # fmt: skip

    name: str = Field(pattern=f"^{NAME}$")
    """Lower-case letters, digits, dots, hyphens."""
    format: FormatName
    files: dict[Split, str | dict[str, Paths]] = {}
    """Split -> path with {lang}, or language -> path or paths. With `hub`: paths in the repository, where `*` matches anything."""
    hub: str = Field(default="", pattern=r"^$|^[\w-][\w.-]*(/[\w-][\w.-]*)?$")
    """Id of a dataset of the Hub, ORG/NAME. Its Parquet files are read, and nothing of the repository is executed."""
    config: str = Field(default=DEFAULT_CONFIG, min_length=1)
    """Configuration (subset) of the dataset of the Hub, with {lang} if there is one for each language."""
    splits: dict[Split, str | dict[str, str]] = {}
    """Split -> split of the dataset of the Hub, with {lang}, or language -> split: {train: {en: train}, test: validation}."""
    revision: str = Field(default="", pattern=r"^$|^[\w-][\w.-]*(/[\w-][\w.-]*)*$")
    """Branch, tag or commit of the dataset of the Hub; by default main, or the Hub's own conversion to Parquet. The first run
    pins the commit."""
    languages: list[str] = []
    """Languages of paths, configurations, splits or values of `where` with {lang}."""
    columns: dict[str, str | list[str]] = {}
    """Field -> column: text_a, text_b, label; context, question, choices; text, translation; words, tags; id. A dot reaches
    into a nested column of JSON or Parquet: answers.text."""
    values: dict[str, dict[str, str]] = {}
    """Field -> value in the file -> value in the example: {label: {'0': billing}}."""
    where: dict[str, str] = {}
    """Column -> value of the rows to read; {lang} in the value means the language."""
    header: list[str] = []
    """Column names of a .csv or .tsv file without a header line."""
    direction: list[str] = Field(default=[], max_length=2)
    """For translations without language columns: the language of the source and of the translation, with {lang} for the
    language of the rows: ['{lang}', en]."""
    joined: bool = Field(default=False, strict=True)
    """An id means the same example in every language (translations). A subset has the same examples in each language, and
    labels must equal those of English, if present. Without an id column the row number is the id."""
    holdout: Any = None
    """Share or number of training rows that are test examples in languages without a test file: 0.1; or with a dev split
    and groups: {test: 0.1, dev: 50, group: customer} (holdout.py)."""
    examples_of: str = ""
    """Task that has the same examples under the same ids, split by split, in another form."""
    labels: list[str] = []
    """The order of the classes; by default read from the training files and sorted. Span QA: `[no-answer]` if questions
    may have no answer."""
    metric: str | list[str] = ""
    """Name of a metric, or of several, of which tables show the first; by default the format's."""
    title: str = ""
    train_language: str = ""
    max_length: int = Field(default=128, gt=0, strict=True)
    licence: str = ""
    note: str = ""

    @property
    def files_key(self) -> str:
        """The key that names the data."""
        return "splits" if self.hub and self.splits else "files"

    @property
    def declared(self) -> Mapping[str, str | Mapping[str, Paths]]:
        """`files`; or `splits` in the same form, with CONFIG/SPLIT in place of a path."""
        if self.files_key == "files":
            return {str(split): paths for split, paths in self.files.items()}
        return {
            split: f"{self.config}/{names}" if isinstance(names, str)
            else {language: f"{self.config}/{name}" for language, name in names.items()}
            for split, names in self.splits.items()
        }  # fmt: skip


def read_declaration(declaration: dict[str, Any], written: Mapping[Keys, str] | None = None) -> CustomTask:
    """The declaration, if the files can be read by it.

    Args:
        written: keys of a plain value -> its text in the YAML file: 'no' where the value is False.

    Raises:
        UserError: each key that is unknown or missing; each value of the wrong type.
    """
    missing = [] if "files" in declaration or "hub" in declaration else [_missing_key(declaration, "files")]
    try:
        spec = CustomTask.model_validate(declaration)
    except ValidationError as error:
        raise combine_errors([*_find_invalid_keys(error, declaration, written or {}), *missing]) from None
    where = f"task '{spec.name}'"
    if errors := [
        *missing,
        *_find_misplaced_hub_keys(spec, where),
        *_find_empty_splits(spec, where),
        *_find_lists_of_columns(spec, where),
    ]:
        raise combine_errors(errors)
    return spec


def _find_invalid_keys(
    error: ValidationError, declaration: dict[str, Any], written: Mapping[Keys, str]
) -> list[UserError]:
    """pydantic's errors in the terms of the declaration, one for each of its keys."""
    deepest: dict[str, tuple[Keys, Any]] = {}
    for problem in error.errors(include_url=False):  # a union has several for one value
        keys = _keys_of(problem, declaration)
        key = str(problem["loc"][0])
        if key not in deepest or len(keys) > len(deepest[key][0]):
            deepest[key] = keys, problem
    return [_explain(problem, keys, declaration, written) for keys, problem in deepest.values()]


def _keys_of(problem: Any, declaration: dict[str, Any]) -> Keys:
    """The keys of the declaration that an error is about; pydantic's location also has the members of unions."""
    keys: list[str | int] = []
    value: Any = declaration
    for key in problem["loc"]:
        if (isinstance(value, dict) and key in value) or (isinstance(value, list | tuple) and isinstance(key, int)):
            keys.append(key)
            value = value[key]
    return tuple(keys)


_EXPECTED = {
    "string_type": ("a text", ""),
    "list_type": ("a list", "Write a list in brackets: [a, b]."),
    "dict_type": ("a mapping", "Write {key: value}."),
    "int_type": ("a whole number", "Write it in digits, without quotes."),
    "bool_type": ("true or false", "Write one of these, without quotes."),
}
"""pydantic's error type -> the expected value, and how to write it."""


def _explain(problem: Any, keys: Keys, declaration: dict[str, Any], written: Mapping[Keys, str]) -> UserError:
    key, kind, found = str(problem["loc"][0]), problem["type"], problem["input"]
    where = _place_of(declaration)
    place = f"{where}: {'.'.join(map(str, keys))}"
    hint = quote_hint(found, written.get(keys, ""))
    if kind == "extra_forbidden":
        names = tuple(CustomTask.model_fields)
        fix = f"{did_you_mean(key, names)}Keys are {', '.join(names)}."
        return UserError(f"unknown key '{key}'", where=where, fix=fix)
    if kind == "missing":
        return _missing_key(declaration, key)
    if kind == "literal_error":
        allowed = tuple(FORMATS) if key == "format" else ("train", "dev", "test")
        what = f"'{found}' is none of {', '.join(allowed)}"
        fix = hint or did_you_mean(str(found), allowed) or "Use one of these."
        return UserError(what, where=f"{where}: {key}", fix=fix)
    if key in ("files", "splits"):
        path = "path" if key == "files" else "split"
        return UserError(
            f"not a {path} for each language",
            where=f"{where}: {'.'.join(map(str, keys[:2]))}",
            fix=f"Write {{train: {{en: {path}}}, test: {{de: {path}}}}}. {hint or quote_hint(False, '')}",
        )
    if kind == "string_pattern_mismatch" and key in ("hub", "revision"):
        expected = {"hub": "the id of a dataset", "revision": "a branch, a tag or a commit"}[key]
        return UserError(
            f"'{found}' is not {expected}", where=place, fix="Write it as the Hub shows it, such as org/name."
        )
    if kind == "string_pattern_mismatch":
        return UserError(
            f"'{found}' cannot name a task",
            where=place,
            fix=f"Use {NAME_RULE}.",
        )
    if kind in _EXPECTED:
        expected, example = _EXPECTED[kind]
        if kind == "string_type":
            fix = hint or "Write a text, or remove the key."
        else:
            fix = f"{example} {hint}".rstrip() if kind == "list_type" else example
        return UserError(f"expected {expected}, found {_show(found)}", where=place, fix=fix)
    return UserError(problem["msg"], where=place, fix=f"Found: {_show(found)}.")


def _place_of(declaration: dict[str, Any]) -> str:
    name = declaration.get("name")
    return f"task '{name}'" if isinstance(name, str) else "custom task"


def _missing_key(declaration: dict[str, Any], key: str) -> UserError:
    fix = "A task needs at least name, format and files; or name, format, hub and splits for a dataset of the Hub."
    return UserError(f"missing key '{key}'", where=_place_of(declaration), fix=fix)


def _show(value: Any) -> str:
    if isinstance(value, dict | list | tuple):
        return "a mapping" if isinstance(value, dict) else "a list"
    return "nothing" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)


def find_errors(spec: CustomTask, reader: Reader) -> Iterator[UserError]:
    """What is declared and cannot have an effect with this format and these files, one error for each cause.

    Args:
        reader: of the files.
    """
    where = f"task '{spec.name}'"
    for check in (_find_repeated, _find_unused_languages, _find_useless_labels):
        yield from check(spec, where)
    yield from _find_wrong_fields(spec, reader, where)


def _find_misplaced_hub_keys(spec: CustomTask, where: str) -> Iterator[UserError]:
    """Keys that are for data of the Hub only, or that exclude each other."""
    given = [key for key in ("config", "splits", "revision") if key in spec.model_fields_set]
    if not spec.hub:
        for key in given:
            fix = "Name the dataset: `hub: org/name`. Otherwise remove the key."
            yield UserError(f"`{key}` is for a dataset of the Hub", where=f"{where}: {key}", fix=fix)
    elif spec.files:
        for key in given:
            if key != "revision":
                fix = "Write `config` and `splits`, or `files` with paths in the repository."
                yield UserError(f"`files` and `{key}` exclude each other", where=f"{where}: {key}", fix=fix)
        for split, paths in spec.files.items():
            for path in _all_paths(paths):
                if not path.endswith(".parquet"):
                    yield UserError(
                        f"'{path}' is no Parquet file, and others of the Hub are not read", where=f"{where}: files.{split}",
                        fix="Try `config` and `splits` in place of `files`: the Hub converts most datasets to Parquet.",
                    )  # fmt: skip
    elif not spec.splits:
        fix = "Write {train: train, test: test}, with the names that the splits have on the Hub."
        yield UserError("missing key 'splits'", where=where, fix=fix)


def _all_paths(paths: str | Mapping[str, Paths]) -> Iterator[str]:
    for listed in (paths,) if isinstance(paths, str) else paths.values():
        yield from (listed,) if isinstance(listed, str) else listed


def _find_empty_splits(spec: CustomTask, where: str) -> Iterator[UserError]:
    key = spec.files_key
    what, name = ("no file is named", "path") if key == "files" else ("no split is named", "split")
    for split, paths in (spec.files if key == "files" else spec.splits).items():
        if not paths:
            yield UserError(what, where=f"{where}: {key}.{split}", fix=f"Write {{en: {name}}}, or remove it.")
        for language, listed in paths.items() if isinstance(paths, dict) else ():
            if not listed:
                place = f"{where}: {key}.{split}.{language}"
                yield UserError(what, where=place, fix=f"Write its {name}, or remove the language.")


def _find_lists_of_columns(spec: CustomTask, where: str) -> Iterator[UserError]:
    """Lists of columns of fields that are read from one column."""
    for field, column in spec.columns.items():
        if isinstance(column, str):
            continue
        if field not in SEVERAL_COLUMNS:
            fix = f"Name one column. Only {' and '.join(SEVERAL_COLUMNS)} take a list."
            yield UserError(f"`{field}` is read from one column", where=f"{where}: columns.{field}", fix=fix)
        elif not column:
            yield UserError("the list is empty", where=f"{where}: columns.{field}", fix="Name the columns.")


def _find_repeated(spec: CustomTask, where: str) -> Iterator[UserError]:
    """Values that are listed twice, or are empty, in lists whose items must differ."""
    lists: dict[str, Sequence[str]] = {"labels": spec.labels, "languages": spec.languages, "header": spec.header}
    lists |= {} if isinstance(spec.metric, str) else {"metric": spec.metric}
    lists |= {f"columns.{field}": names for field, names in spec.columns.items() if isinstance(names, list)}
    for split, paths in spec.declared.items():
        for language, listed in paths.items() if isinstance(paths, Mapping) else ():
            lists[f"{spec.files_key}.{split}.{language}"] = [listed] if isinstance(listed, str) else listed
    for key, values in lists.items():
        for at, value in enumerate(values):
            if value in values[:at]:
                yield UserError(f"'{value}' is listed twice", where=f"{where}: {key}", fix="Remove one.")
            elif not value.strip() and key != "header":  # a column without a name is not read
                yield UserError("an empty text in the list", where=f"{where}: {key}", fix="Remove it.")


def _find_unused_languages(spec: CustomTask, where: str) -> Iterator[UserError]:
    has_paths = any(isinstance(paths, str) for paths in spec.declared.values())
    if spec.languages and not has_paths and not any("{lang}" in value for value in spec.where.values()):
        yield UserError(
            f"`languages` has no effect, since `{spec.files_key}` maps each language to its {spec.files_key}",
            where=f"{where}: languages",
            fix="Remove it, or write a path with {lang}: {test: 'test.{lang}.csv'}."
            if spec.files_key == "files"
            else "Remove it, or write one split for all languages: {test: test}.",
        )
    if spec.train_language and "train" not in spec.declared:
        yield UserError(
            "`train_language` has no effect, since there are no training files",
            where=f"{where}: train_language",
            fix="Remove it, or add training files.",
        )


def _find_useless_labels(spec: CustomTask, where: str) -> Iterator[UserError]:
    """Labels of a format whose answers are no labels."""
    format = FORMATS[spec.format]
    allowed = format.optional_labels
    if format.has_classes or set(spec.labels) <= set(allowed):
        return
    fix = f"Remove the key. Only {' and '.join(allowed)} have a meaning there." if allowed else "Remove the key."
    yield UserError(f"the answers of {spec.format} are no labels", where=f"{where}: labels", fix=fix)


def _find_wrong_fields(spec: CustomTask, reader: Reader, where: str) -> Iterator[UserError]:
    """Fields in `columns` and `values` that the format lacks, or that nothing in such a file is read by."""
    format = FORMATS[spec.format]
    usual = {name: names for name, names in format.columns.items() if name not in format.prediction_fields}
    usual |= COMMON_COLUMNS
    for key, given in (("columns", spec.columns), ("values", spec.values)):
        if given and not reader.has_fields:
            yield UserError(
                f"`{key}` has no effect, since the fields of such files are fixed",
                where=f"{where}: {key}",
                fix="Remove the key, or write the data with named columns: .jsonl or .parquet.",
            )
            continue
        for field in given:
            if field not in usual:
                fix = f"{_nearest_field(field, usual)}Fields of {spec.format} are {', '.join(usual)}."
                yield UserError(f"unknown field '{field}'", where=f"{where}: {key}.{field}", fix=fix)


def _nearest_field(word: str, usual: Mapping[str, Sequence[str]]) -> str:
    """The hint "did you mean 'text_b'? " for a misspelt field, or for the usual name of its column (`hypothesis`)."""
    fields = {name: field for field, names in reversed(list(usual.items())) for name in (*names, field)}
    near = closest(word, fields)
    return f"did you mean '{fields[near]}'? " if near else ""
