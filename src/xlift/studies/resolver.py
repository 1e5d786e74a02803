"""Find the tasks, languages and data that a study names. Every error names its place in the study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from xlift.errors import ErrorCollector, UserError, combine_errors, did_you_mean
from xlift.language_tags import match_code
from xlift.recipes import Noise
from xlift.studies.availability import Availability
from xlift.studies.job import Data
from xlift.studies.study_file import StudyFile
from xlift.tasks import catalog, formats, metrics
from xlift.tasks.faults import FaultyRows
from xlift.tasks.sources.data_summary import TaskSummary, summarize
from xlift.tasks.sources.fallback import keep_kind
from xlift.tasks.sources.files import FileSource
from xlift.tasks.sources.generated import DEFAULT_NUM_EXAMPLES
from xlift.tasks.sources.holdout import HoldoutSettings, hold_out, parse_holdout
from xlift.tasks.sources.hub import HubSource
from xlift.tasks.sources.hub_files import HubAccess
from xlift.tasks.sources.usage import find_unused, usage_of
from xlift.tasks.task import Task
from xlift.units import count_noun
from xlift.yaml_document import Keys


class Resolver:
    """Finds tasks, languages and data for one study.

    Args:
        data: root folder of data files; default: the study's `data:`, relative to its file.
        check_files: read and check every file of the custom tasks.
        to_run: download missing files from the Hub, since the study will run.

    Raises:
        UserError: all errors of the declarations and, with `check_files`, of the files of the custom tasks.
    """

    def __init__(self, file: StudyFile, data: Path | None, *, check_files: bool = False, to_run: bool = True) -> None:
        self.file = file
        self.data = file.data_folder(data)
        self.availability = Availability(self.data, to_run=to_run)
        self.notes: dict[str, None] = {}
        """Notes on the requested data, without duplicates and in order."""
        self.faulty_rows: dict[tuple[str, str, str], dict[str, FaultyRows]] = {}
        """(task, split, name of the fault) -> language -> the faulty rows in the requested data."""
        self.tasks: dict[str, Task] = {}
        """The requested tasks."""
        self.custom_tasks: dict[str, Task] = {}
        self.summaries: list[TaskSummary] = []
        """What the files of the custom tasks hold, with `check_files`."""
        self.held_out: dict[str, tuple[int, HoldoutSettings]] = {}
        """Catalogue task -> position in the study's `tasks`, and the rows to hold out of its training data."""
        from xlift.tasks.sources.custom import check_examples_of

        errors = ErrorCollector()
        for index, declaration in enumerate(file.study.tasks):
            with errors.collect():
                if _is_catalogue_task(declaration):
                    self._hold_out(index, declaration)
                    continue
                task, declaration_errors = self._custom_task(index, declaration)
                errors.errors += declaration_errors
                self.custom_tasks[task.name] = task
                if check_files:
                    errors.errors += self._survey_files(index, task, has_labels=bool(declaration.get("labels")))
        for index, declaration in enumerate(file.study.tasks if not errors.errors else ()):
            with errors.collect(), self.at_place("tasks", index, "examples_of"):
                check_examples_of(declaration.get("examples_of", ""), self.custom_tasks, catalog.names())
        if errors.errors:
            raise combine_errors(errors.errors, [str(odd) for summary in self.summaries for odd in summary.odd])

    @contextmanager
    def at_place(self, *keys: str | int) -> Iterator[None]:
        """Add a place in the study to UserErrors that name no place (no data file and line)."""
        try:
            yield
        except UserError as error:
            raise self._at(error, keys) from None

    def _at(self, error: UserError, keys: Keys) -> UserError:
        return error if error.where else UserError(error.what, where=self.file.locate(*keys), fix=error.fix)

    def find_task(self, name: str, where: Keys) -> Task:
        """Find a task by name. Raises UserError if neither the study nor the catalogue has it."""
        if name in self.custom_tasks:
            task = self.custom_tasks[name]
        else:
            names = (*self.custom_tasks, *catalog.names())
            if name not in names:
                raise UserError(
                    f"unknown task '{name}'", where=self.file.locate(*where),
                    fix=f"{did_you_mean(name, names)}`xlift tasks` lists them all.",
                )  # fmt: skip
            task = catalog.get(name)
            if self.file.study.source:
                task = replace(task, source=keep_kind(task.source, self.file.study.source))
            if self.file.study.known_faults == "keep":
                task = replace(task, keeps_faults=True)
            if name in self.held_out:
                index, settings = self.held_out[name]
                try:
                    task = hold_out(task, settings, f"task '{name}'")
                except UserError as error:
                    raise self._locate(error, index, self.file.study.tasks[index]) from None
            source, needs_labels = task.source, not task.labels and formats.get(task.format).has_classes
            if needs_labels and isinstance(source, FileSource) and not self.availability.lacks_files(task):
                with self.at_place(*where):
                    labels = source.read_labels(task, source.splits(), self.data)
                task = replace(task, labels=labels)  # CCGbank's categories are only in its files
        with self.at_place(*where):
            for metric in task.metrics:
                metrics.check(metric, task.format, task.labels)
        self.tasks[name] = task
        return task

    def find_training_task(self, name: str, where: Keys, *, text: bool = False) -> Task:
        """Find a task with labels to train on; `text` allows text tasks too. Raises UserError for any other."""
        task = self.find_task(name, where)
        format = formats.get(task.format)
        if format.is_plain_text and not text:
            raise UserError(
                f"{name} is plain text, which a target cannot be trained on", where=self.file.locate(*where),
                fix="text is for `intermediate:` and `pretrain:`; train a target on a task with labels.",
            )  # fmt: skip
        if not format.is_trainable:
            raise UserError(
                f"{name} is {task.format} and cannot be trained on", where=self.file.locate(*where),
                fix=f"{task.format} is only scored, as a target.",
            )  # fmt: skip
        return task

    def check_same_labels(self, source: Task, task: Task, where: Keys) -> None:
        """Raises UserError unless `source` has the format and labels of `task`, so that a head trained on it fits."""
        if (source.format, source.labels) == (task.format, task.labels):
            return
        if source.format != task.format:
            why = f"its format is {source.format}, not {task.format}"
        else:
            why = f"its labels are {_show_labels(source.labels)}, not {_show_labels(task.labels)}"
        compatible = self._compatible_tasks(task)
        raise UserError(
            f"{source.name} cannot replace {task.name}: {why}",
            where=self.file.locate(*where),
            fix=f"tasks that can: {', '.join(compatible)}." if compatible else "no task of the catalogue can.",
        )

    def find_languages(self, task: Task, requested: str | tuple[str, ...], split: str, where: Keys) -> tuple[str, ...]:
        """Resolve languages: one, several, 'all', or '' for the task's training language. They may have another spelling
        than the task has ('zh_cn' or 'zh' for 'zh-CN'), and the result has the task's.

        Raises:
            UserError: the task lacks the split, or the language in it, or has several that the code may mean.
        """
        splits = task.source.splits()
        if split not in splits:
            compatible = self._compatible_tasks(task) if split == "train" else []
            fix = f"it has: {', '.join(splits)}."
            if compatible:
                fix += f" Tasks with the same labels: {', '.join(compatible)}."
            if split == "train":
                fix += " A model in text mode can be scored without training: `train: false`."
            raise UserError(
                f"{task.name} has no training data" if split == "train" else f"{task.name} has no split '{split}'",
                where=self.file.locate(*where),
                fix=fix,
            )
        available = task.source.languages(split)
        if requested == "all":
            return available
        if requested == "":
            requested = available[0] if len(available) == 1 else task.train_language
        found: dict[str, str] = {}
        for language in (requested,) if isinstance(requested, str) else requested:
            matching = match_code(language, available)
            if len(matching) != 1:
                what = (
                    f"{task.name} has no {split} data in '{language}'"
                    if language
                    else f"no language is given for {task.name}"
                )
                if matching:
                    what = f"'{language}' may be {' or '.join(matching)} of {task.name}"
                raise UserError(
                    what, where=self.file.locate(*where),
                    fix=f"{'' if matching else did_you_mean(language, available)}It has: {', '.join(available)}.",
                )  # fmt: skip
            if other := found.get(matching[0]):
                raise UserError(
                    f"'{other}' and '{language}' are the same language of {task.name}, '{matching[0]}'",
                    where=self.file.locate(*where), fix="remove one.",
                )  # fmt: skip
            found[matching[0]] = language
        return tuple(found)

    def make_data(
        self,
        task: Task,
        language: str,
        split: str,
        size: int | None,
        seed: int,
        where: Keys,
        noise: Noise | None = None,
        *,
        is_optional: bool = False,
    ) -> Data:
        """Describe the examples that a job reads.

        Args:
            is_optional: missing files are an error, which the caller handles.

        Raises:
            UserError: the files are broken or have fewer examples than `size`, or the noise does not exist.
        """
        with self.at_place(*where):
            if is_optional:
                examples = self.availability.find_here(task, language, split)
            else:
                examples = self.availability.find(task, language, split, size, lambda error: self._at(error, where))
        available = examples.size
        for found in examples.faulty_rows:
            self.faulty_rows.setdefault((task.name, split, found.fault.name), {})[language] = found
        self.notes |= dict.fromkeys(f"{task.name} {language} {split}: {note}." for note in examples.notes)
        if size is not None and available is not None and size > available and examples.is_size_known:
            raise UserError(
                f"size {size} is larger than the data: {task.name}/{language} {split} has {count_noun(available, 'example')}",
                where=self.file.locate(*where, "size"), fix=f"use at most {available}, or leave `size` out to use all.",
            )  # fmt: skip
        if size == available and examples.is_size_known:
            size = None  # both mean all examples, so they make one job
        format = formats.get(task.format)
        data = Data(
            task=task.name, language=language, split=split, size=size, seed=0 if size is None else seed,
            fingerprint=examples.fingerprint, max_length=task.max_length,
            revision=0 if available is None else format.revision,  # generated texts are the same in every revision
            options=tuple(sorted(task.options.items())) if format.is_trainable else (),
        )  # fmt: skip
        return data if noise is None else self.add_noise(data, noise, (*where, "noise"))

    def add_noise(self, data: Data, noise: Noise, where: Keys) -> Data:
        """The same examples with noise. Raises UserError if the noise does not exist for them."""
        from xlift.tasks.noise import check_noise, get_input_language, noise_notes, with_digest

        if noise.digest:
            raise UserError("xlift computes `digest`", where=self.file.locate(*where, "digest"), fix="remove it.")
        with self.at_place(*where):
            task = self.tasks[data.task]
            check_noise(noise, task, data.language)
            text_language = get_input_language(task, data.language)
            noise = with_digest(noise, data.language, self.data, text_language=text_language)
            notes = noise_notes(noise, task, data.language, data.split, self.data)
        self.notes |= dict.fromkeys(f"{data.task} {data.language} {data.split}: {note}." for note in notes)
        return data.model_copy(update={"noise": noise})

    def describe_faults(self) -> dict[str, tuple[str, ...]]:
        """Task -> sentences on the known faults in the requested data."""
        sentences: dict[str, tuple[str, ...]] = {}
        for (task, split, _), by_language in self.faulty_rows.items():
            found = next(iter(by_language.values()))
            rows = {language: each.count for language, each in by_language.items()}
            sentence = f"{task} {split}: {found.fault.describe(rows, keep=found.keep)}"
            sentences[task] = (*sentences.get(task, ()), sentence)
        return sentences

    def count_examples(self, data: Data) -> int:
        """Number of examples."""
        if data.size is not None:
            return data.size
        task = self.tasks[data.task]
        size = self.availability.count(task, data.language, data.split)
        return DEFAULT_NUM_EXAMPLES[data.split] if size is None else size

    def _compatible_tasks(self, task: Task) -> list[str]:
        """Names of tasks with training data and the format and labels of `task`."""
        return [
            other.name
            for other in (*self.custom_tasks.values(), *catalog.TASKS)
            if (other.format, other.labels) == (task.format, task.labels) and "train" in other.source.splits()
        ]

    def _custom_task(self, index: int, declaration: dict[str, Any]) -> tuple[Task, list[UserError]]:
        """The task, and the errors of its declaration that do not hinder the reading of its files."""
        from xlift.tasks.sources.custom import build_to_check, has_files

        folder = self.file.folder
        if self.data is not None and not has_files(folder, declaration) and has_files(self.data, declaration):
            folder = self.data
        access = HubAccess(
            self.data, self.file.pins.get(str(declaration.get("name", "")), ""), self.availability.downloads
        )
        try:
            written = {
                keys[2:]: text for keys, text in self.file.document.written.items() if keys[:2] == ("tasks", index)
            }
            task, errors = build_to_check(declaration, folder, written, access)
        except UserError as error:
            raise combine_errors([self._locate(each, index, declaration) for each in error.errors]) from None
        if task.name in catalog.names() or task.name in self.custom_tasks:
            raise UserError(
                f"a task '{task.name}' exists already", where=self.file.locate("tasks", index, "name"),
                fix="choose another name.",
            )  # fmt: skip
        return task, [self._locate(error, index, declaration) for error in errors]

    def _hold_out(self, index: int, declaration: dict[str, Any]) -> None:
        """Note the rows to hold out of a task of the catalogue."""
        name = declaration["name"]
        if name in self.held_out:
            raise UserError(
                f"'{name}' is listed twice", where=self.file.locate("tasks", index, "name"), fix="remove one."
            )
        unknown = next((key for key in declaration if key not in ("name", "holdout")), None)
        if unknown is not None:
            raise UserError(
                f"`{unknown}` is for a custom task, and '{name}' is a task of the catalogue",
                where=self.file.locate("tasks", index, unknown),
                fix="remove it, or declare `format` and `files` under another name.",
            )
        try:
            self.held_out[name] = (index, parse_holdout(declaration["holdout"], f"task '{name}'"))
        except UserError as error:
            raise self._locate(error, index, declaration) from None

    def _locate(self, error: UserError, index: int, declaration: dict[str, Any]) -> UserError:
        """An error of a declaration with its place in the study; that of a data file as it is."""
        if error.where and not error.where.startswith(("task '", "custom task")):
            return error
        names = error.where.rpartition(": ")[2].split(".") if ": " in error.where else error.what.split("'")[1:2]
        where = self.file.locate("tasks", index, *(_keys_in(declaration, names) if names[:1] else ()))
        return UserError(error.what, where=where, fix=error.fix)

    def _survey_files(self, index: int, task: Task, *, has_labels: bool) -> list[UserError]:
        """Summarize the files of a custom task, note what of its declaration they do not use, and return their errors. A
        missing file is an error only where the study uses it.

        Args:
            has_labels: its declaration lists them.
        """
        source = task.source.find_all(self.data) if isinstance(task.source, HubSource) else task.source
        if source is None:  # the plan lists what is missing
            return []
        assert isinstance(source, FileSource)
        declared = [(language, split) for split in source.splits() for language in source.languages(split)]
        present = [each for each in declared if source.is_present(*each, None)]
        surveys = [source.survey(task, language, split, None) for language, split in present]
        splits = [survey.summary for survey in surveys]
        columns = source.column_names(task.format)
        errors = {str(error): error for survey in surveys for error in survey.all_errors}  # splits may share a file
        declared_labels = task.labels if has_labels else ()
        self.summaries.append(summarize(task, splits, columns, declared_labels=declared_labels))
        if present == declared and not errors:
            usages = [usage_of(source.fingerprint(task, language, split, None)) for language, split in present]
            labels = declared_labels if formats.get(task.format).has_classes else ()
            used_labels = {label for split in splits for label in split.counts}
            for keys, what in find_unused(source.columns, source.values, labels, usages, used_labels):
                self.notes[f"{self.file.locate('tasks', index, *keys)}: {what}."] = None
        return list(errors.values())


def _is_catalogue_task(declaration: Mapping[str, Any]) -> bool:
    """Whether an entry of `tasks:` holds rows out of a task of the catalogue, and declares no task of its own."""
    return "holdout" in declaration and not {"format", "files", "hub"} & set(declaration) and declaration.get("name") in catalog.names()  # fmt: skip


def _keys_in(declaration: dict[str, Any], names: list[str]) -> Keys:
    """The keys of a value of a declaration, with the positions in lists as numbers; none if the first is no key of it."""
    keys: list[str | int] = []
    value: Any = declaration
    for name in names if names[0] in declaration else ():
        if isinstance(value, list | tuple) and name.isdecimal() and int(name) < len(value):
            keys.append(int(name))
            value = value[int(name)]
        else:
            keys.append(name)
            value = value.get(name) if isinstance(value, dict) else None
    return tuple(keys)


def _show_labels(labels: tuple[str, ...]) -> str:
    return (", ".join(labels[:5]) + (", ..." if len(labels) > 5 else "")) or "none"
