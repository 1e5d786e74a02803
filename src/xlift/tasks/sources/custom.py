"""Build a custom task from its declaration in a study file:

    name: tickets
    format: classification
    files:
      train: {en: tickets.en.csv}
      test: tickets.{lang}.csv
    languages: [de, sw]          # for paths with {lang}
    columns: {text_a: message, label: queue}
    where: {country: "{lang}"}   # for a file of several languages: the rows whose column holds the language's code
    labels: [billing, delivery, other]

Paths are relative to the study file. The extension decides the reader. Columns, labels and metrics are optional: usual
column names are tried, and labels are read from the training files and sorted.

The data may be on the Hub, as Parquet (hub_files.py):

    hub: org/name
    config: "{lang}"
    splits: {train: {en: train}, test: test}
    languages: [de, sw]
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from xlift.errors import ErrorCollector, UserError, combine_errors, did_you_mean
from xlift.language_tags import same_tag, study_code
from xlift.languages import LANGUAGES
from xlift.tasks import metrics
from xlift.tasks.formats import FORMATS
from xlift.tasks.sources.base import file_extension
from xlift.tasks.sources.declaration import CustomTask, Keys, Paths, find_errors, read_declaration
from xlift.tasks.sources.files import FileSource
from xlift.tasks.sources.holdout import hold_out, parse_holdout
from xlift.tasks.sources.hub_files import HubAccess, find_hub_files
from xlift.tasks.sources.readers import EXTENSIONS, READERS
from xlift.tasks.task import Task


def build_custom_task(declaration: dict[str, Any], base: Path, written: Mapping[Keys, str] | None = None) -> Task:
    """Build the task of a declaration whose paths are relative to `base`.

    Args:
        written: keys of a plain value of the declaration -> its text in the YAML file, for messages.

    Raises:
        UserError: a key is unknown or missing, or has no effect; a language or field is unknown; an extension has no reader;
            a metric cannot score the format or read the labels; or a training file from which to read the labels cannot
            be read.
    """
    task, errors = build_to_check(declaration, base, written)
    if errors:
        raise combine_errors(errors)
    return task


def build_to_check(
    declaration: dict[str, Any],
    base: Path,
    written: Mapping[Keys, str] | None = None,
    access: HubAccess | None = None,
) -> tuple[Task, list[UserError]]:
    """`build_custom_task`, with the errors that do not hinder the reading of the files (an unknown metric), so that these can
    be checked too. While files of the Hub are not on this machine, its labels are those of the declaration."""
    collector, access = ErrorCollector(), access or HubAccess()
    spec = read_declaration(declaration, written)
    where = f"task '{spec.name}'"
    names = _language_names(spec, where)
    files = {split: _paths_by_language(spec, split, paths, names, where) for split, paths in spec.declared.items()}
    all_paths = (path for by_language in files.values() for paths in by_language.values() for path in paths)
    reader = _select_reader(spec, ["data.parquet"] if spec.hub else all_paths, where)
    collector.errors += find_errors(spec, READERS[reader])
    options: dict[str, Any] = {
        "files": files,
        "available": {split: tuple(paths) for split, paths in files.items()},
        "codes": {name: code for code, name in names.items()},
        "columns": spec.columns,
        "values": spec.values,
        "where": spec.where,
        "direction": _check_direction(spec, where),
        "joined": spec.joined,
    }
    if spec.hub:
        source = find_hub_files(spec, options, access, where)
        files_here = source.find_all(access.data)
        if files_here is None and access.downloads:
            files_here = source.download_all(spec.name)
    else:
        source = FileSource(reader=reader, header=tuple(spec.header), root=base, kind="custom", **options)
        files_here = source
    train_language, chosen_metrics, labels = "", FORMATS[spec.format].default_metrics, tuple(spec.labels)
    with collector.collect():
        train_language = _train_language(spec, source.languages("train"), where)
    label_error = None
    try:
        if files_here is not None:
            labels = labels or _read_labels(spec, files_here, base, where)
    except UserError as error:
        label_error = error
    with collector.collect():
        chosen_metrics = _metrics(spec, labels, where)
    if label_error:
        raise combine_errors([*collector.errors, label_error])
    task = Task(
        name=spec.name,
        title=spec.title or spec.name,
        format=spec.format,
        metrics=chosen_metrics,
        source=source,
        labels=labels,
        train_language=train_language,
        max_length=spec.max_length,
        examples_of={split: f"{spec.examples_of}/{split}" for split in files} if spec.examples_of else {},
        url=f"https://huggingface.co/datasets/{spec.hub}" if spec.hub else "",
        licence=spec.licence,
        note=spec.note,
    )
    if spec.holdout is not None:
        with collector.collect():
            task = hold_out(task, parse_holdout(spec.holdout, where), where)
    return task, collector.errors


def check_examples_of(name: str, custom_tasks: Mapping[str, Task], others: Sequence[str]) -> None:
    """Raises UserError if `examples_of` names no task, or a custom task whose examples are those of another one.

    Args:
        custom_tasks: those of the study.
        others: names of the tasks of the catalogue.
    """
    names = (*custom_tasks, *others)
    if name and name not in names:
        raise UserError(f"unknown task '{name}'", fix=f"{did_you_mean(name, names)}`xlift tasks` lists them all.")
    if name in custom_tasks and (found := custom_tasks[name].examples_of):
        other = min(found.values()).partition("/")[0]
        raise UserError(f"the examples of '{name}' are those of '{other}'", fix=f"write `examples_of: {other}`.")


def _train_language(spec: CustomTask, with_files: tuple[str, ...], where: str) -> str:
    """The language to train on; by default the first of those `with_files`."""
    if not spec.train_language:
        return with_files[0] if with_files else ""
    code = _check_language(spec.train_language, f"{where}: train_language")
    language = next((name for name in with_files if same_tag(name, code)), code)
    if with_files and language not in with_files:
        raise UserError(
            f"no training file in '{language}'",
            where=f"{where}: train_language",
            fix=f"Languages with training files: {', '.join(with_files)}.",
        )
    return language


def _paths_by_language(
    spec: CustomTask, split: str, paths: str | Mapping[str, Paths], names: Mapping[str, str], where: str
) -> dict[str, tuple[str, ...]]:
    """Language -> paths of one split."""
    if isinstance(paths, str):
        has_language = "{lang}" in paths or any("{lang}" in value for value in spec.where.values())
        if not has_language or not spec.languages:
            raise UserError(
                f"no language given for '{paths}'",
                where=f"{where}: {spec.files_key}.{split}",
                fix="Write {en: split}, or use {lang} in `config`, in the split or in a value of `where`, and add `languages: [en, de]`."
                if spec.files_key == "splits"
                else "Write {en: path}, or use {lang} in the path or in a value of `where` and add `languages: [en, de]`.",
            )
        paths = {code: paths.replace("{lang}", code) for code in spec.languages}
    by_language: dict[str, tuple[str, ...]] = {}
    codes: dict[str, str] = {}
    for code, language_paths in paths.items():
        other = codes.setdefault(names[code], code)
        if other != code:
            raise UserError(
                f"duplicate language '{names[code]}': '{other}' and '{code}' both mean it",
                where=f"{where}: {spec.files_key}.{split}", fix="Write one code, with a list of files: {en: [a.csv, b.csv]}.",
            )  # fmt: skip
        several = (language_paths,) if isinstance(language_paths, str) else tuple(language_paths)
        by_language[names[code]] = tuple(path.replace("{lang}", code) for path in several)
    return by_language


def _metrics(spec: CustomTask, labels: Sequence[str], where: str) -> tuple[str, ...]:
    """The metrics that the declaration names, each once; by default the format's."""
    requested = [spec.metric] if isinstance(spec.metric, str) else spec.metric
    if requested == [""]:
        return FORMATS[spec.format].default_metrics
    if not requested:
        raise UserError("the list is empty", where=f"{where}: metric", fix="Name a metric, or remove the key.")
    found: dict[str, None] = {}
    for at, name in enumerate(requested):
        try:
            found[metrics.check(name, spec.format, labels).name] = None
        except UserError as error:
            place = "metric" if isinstance(spec.metric, str) else f"metric.{at}"
            raise UserError(error.what, where=f"{where}: {place}", fix=error.fix) from None
    return tuple(found)


def _check_direction(spec: CustomTask, where: str) -> tuple[str, ...]:
    if not spec.direction:
        return ()
    if not FORMATS[spec.format].has_direction:
        raise UserError("only translation tasks have a direction", where=f"{where}: direction", fix="Remove the key.")
    if len(spec.direction) != 2 or spec.direction.count("{lang}") != 1:
        raise UserError(
            f"{spec.direction} is not a direction", where=f"{where}: direction",
            fix="Write two languages, one of them that of the rows: [\"{lang}\", en] or [en, \"{lang}\"].",
        )  # fmt: skip
    return tuple(code if code == "{lang}" else _check_language(code, f"{where}: direction") for code in spec.direction)


def _language_names(spec: CustomTask, where: str) -> dict[str, str]:
    """The user's code, which paths and a column of languages hold -> the language's name in studies. Spellings of one
    code ('zh-CN', 'zh_cn') are one language, with the name of the first."""
    places = {
        code: f"{spec.files_key}.{split}"
        for split, paths in spec.declared.items()
        if not isinstance(paths, str)
        for code in paths
    }
    names: dict[str, str] = {}
    for code, place in (places | {code: "languages" for code in spec.languages if code not in places}).items():
        name = _check_language(code, f"{where}: {place}")
        names[code] = next((other for other in names.values() if same_tag(other, name)), name)
    return names


def _check_language(code: str, where: str) -> str:
    """The language's name in studies."""
    name = study_code(code)
    if name is None:
        named = next((each for each in LANGUAGES if each.name.lower() == code.strip().lower()), None)
        hint = f"{named.name} is '{named.code}'. " if named else ""
        raise UserError(
            f"'{code}' is not a language code", where=where, fix=f"{hint}Codes are BCP-47: en, sw, quy, zh, pt-BR."
        )
    return name


def _select_reader(spec: CustomTask, paths: Iterable[str], where: str) -> str:
    """Name of the reader for all the files."""
    extensions = sorted({file_extension(path) for path in paths})
    usable = {
        extension: name
        for extension, names in EXTENSIONS.items()
        for name in names
        if spec.format in READERS[name].formats
    }
    expected = f"A task with format '{spec.format}' is read from {', '.join(usable)}."
    if not extensions:
        raise UserError("no file is named", where=f"{where}: files", fix=f"Write {{train: {{en: path}}}}. {expected}")
    if len(extensions) != 1:
        raise UserError(
            f"the files have different extensions: {', '.join(extensions)}",
            where=f"{where}: files",
            fix="Give all files the same extension.",
        )
    if extensions[0] not in usable:
        raise UserError(f"no reader for '{extensions[0]}' files", where=f"{where}: files", fix=expected)
    reader = usable[extensions[0]]
    if spec.header and reader not in ("csv", "tsv"):
        raise UserError(f"'{extensions[0]}' files have no header line", where=f"{where}: header", fix="Remove the key.")
    if spec.where and not READERS[reader].has_columns:
        raise UserError(
            f"'{extensions[0]}' files have no columns to select rows by", where=f"{where}: where", fix="Remove the key."
        )
    return reader


def _read_labels(spec: CustomTask, source: FileSource, base: Path, where: str) -> tuple[str, ...]:
    """The labels in the training files, sorted."""
    if not FORMATS[spec.format].has_classes:
        return ()
    labels = source.read_labels(Task(spec.name, spec.name, spec.format, (), source), ("train",), base)
    if not labels:
        raise UserError(
            "no labels", where=f"{where}: labels", fix="List the labels, or give a training file to read them from."
        )
    return labels


def has_files(folder: Path, declaration: dict[str, Any]) -> bool:
    """Whether a folder has any of the files that a task declares."""
    return any(
        glob.glob(os.path.join(glob.escape(str(folder)), _glob_pattern(path)))
        for path in _strings_in(declaration.get("files"))
    )


def _glob_pattern(path: str) -> str:
    """The glob pattern of a declared path (which may have `*`) for any language."""
    return (path if "*" in path else glob.escape(path)).replace("{lang}", "*")


def _strings_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings_in(item)
