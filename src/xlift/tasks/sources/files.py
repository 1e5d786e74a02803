"""Examples from files: in the authors' published layout under the data folder, or the user's own."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from xlift.errors import ErrorCollector, UserError
from xlift.tasks import formats
from xlift.tasks.faults import FaultyRows
from xlift.tasks.sources.base import canonical_json, file_sha256, subset_mask
from xlift.tasks.sources.checking import Checks, RecordErrors, is_header
from xlift.tasks.sources.data_summary import SplitSummary, Survey
from xlift.tasks.sources.declared_files import DeclaredFiles
from xlift.tasks.sources.division import TRAIN, Division, DocumentShare, Holdout
from xlift.tasks.sources.faulty_rows import FaultCounter
from xlift.tasks.sources.optional_fields import find_first_row
from xlift.tasks.sources.parallel import ExampleKeys, collect_keys, compare_with_english, find_english, select_by_id
from xlift.tasks.sources.readers import READERS
from xlift.tasks.sources.readers.base import Layout, Row
from xlift.tasks.sources.readers.spelling import sort_labels
from xlift.tasks.sources.removed_labels import find_removed_labels
from xlift.tasks.sources.usage import usage_of
from xlift.tasks.task import Task
from xlift.units import count_noun


@dataclass(frozen=True)
class FileSource(DeclaredFiles):
    """Files and how to read them. A declaration: no file is opened before `read`, `size` or `fingerprint`."""

    columns: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    unquote: bool = False
    where: Mapping[str, str] = field(default_factory=dict)
    """Column -> value of the rows to read, with {lang} as in paths: {'language': '{lang}'} in a file of all languages."""
    header: tuple[str, ...] = ()
    ragged: bool = False
    direction: tuple[str, ...] = ()
    """For translations: (source, target), one of which is "{lang}", the language of the rows."""
    numbered: bool = False
    """Use row numbers as ids, because the file's ids are not unique."""
    joined: bool = False
    """An id means the same example in every language: subsets have the same examples, and labels are compared with those of
    the English examples, if present."""
    document_shares: Mapping[str, DocumentShare] = field(default_factory=dict)
    """Split -> share of its files' documents."""
    holdout: Holdout | None = None
    """The rows of the training files that are dev or test examples. `files` and `available` then name the training files for
    those splits too (holdout.py)."""
    kind: str = "native"

    def is_present(self, language: str, split: str, data: Path | None) -> bool:
        if (self.root or data) is None or language not in self.languages(split):
            return False
        named = list(self.named_paths(language, split, data))
        if self.holdout and (divided := self.holdout.divided_language(language, split)):
            named += self.named_paths(divided, TRAIN, data)
        return all(paths and all(path.is_file() for path in paths) for _, paths in named)

    def size(self, task: Task, language: str, split: str, data: Path | None) -> int:
        """Number of examples; the file is read once as long as it stays the same."""
        fingerprint = self.fingerprint(task, language, split, data)
        if fingerprint not in _SIZES:
            self._scan(fingerprint, task, language, split, data)
        return _SIZES[fingerprint]

    def survey(self, task: Task, language: str, split: str, data: Path | None) -> Survey:
        """What the files of a split hold, and every error in them, up to MAX_ERRORS of a file. Without errors the result is
        kept, and `size` need not read the files again."""
        survey = Survey(SplitSummary(task, language, split), RecordErrors())
        collector = ErrorCollector()
        with collector.collect():
            fingerprint = self.fingerprint(task, language, split, data)
            key = (fingerprint, self.paths(task, language, split, data))  # equal files in two places have two summaries
            if key in _SUMMARIES:
                return Survey(_SUMMARIES[key], RecordErrors())
            self._scan(fingerprint, task, language, split, data, survey)
            if not survey.errors.listed():
                _SUMMARIES[key] = survey.summary
        survey = survey._replace(other_errors=tuple(collector.errors))
        survey.summary.is_complete = not survey.all_errors
        return survey

    def _scan(
        self,
        fingerprint: str,
        task: Task,
        language: str,
        split: str,
        data: Path | None,
        survey: Survey | None = None,
    ) -> None:
        """Read a split to its end. Its size and notes are kept if it has no errors."""
        skipped: Counter[str] = Counter()
        errors = survey.errors if survey else None
        rows = self._rows(task, language, split, data, skipped, errors)
        rows = survey.summary.watch(rows) if survey else rows
        keys = collect_keys(rows, formats.get(task.format)) if self.joined else None
        size = sum(1 for _ in rows) if keys is None else len(keys.ids)
        if errors is not None and errors.listed():
            return
        notes: tuple[str, ...] = ()
        original = find_english(self.languages(split))
        if keys is not None and language == original:
            _ENGLISH_KEYS[fingerprint] = keys
        elif keys is not None and self._has_related_english(original, language, split, data):
            if survey and self.survey(task, original, split, data).all_errors:
                return  # which are reported as those of the English file
            notes = tuple(self._compare_with_english(keys, task, language, split, data))
        skips = (f"{count_noun(count, 'row')} skipped: {reason}" for reason, count in skipped.items())
        _NOTES[fingerprint] = (*skips, *self._describe_holdout(task, language, split, data), *notes)
        _SIZES[fingerprint] = size

    def notes(self, task: Task, language: str, split: str, data: Path | None) -> tuple[str, ...]:
        """Notes for the user about the files of a split: rows that are skipped, English examples without a translation."""
        self.size(task, language, split, data)
        return _NOTES[self.fingerprint(task, language, split, data)]

    def faulty_rows(self, task: Task, language: str, split: str, data: Path | None) -> tuple[FaultyRows, ...]:
        """The known faults that are in the files of a split. Labels are compared with English if it is present."""
        faults = self._faults(task, language, split)
        if not faults.faults:
            return ()
        original = find_english(self.languages(split))
        compares = language != original and self._has_related_english(original, language, split, data)
        languages = (language, original) if compares else (language,)
        key = (task.name, *(self.fingerprint(task, code, split, data) for code in languages))
        if key not in _FAULTS:
            english = self._rows(task, original, split, data) if compares else None
            _FAULTS[key] = faults.find(self._rows(task, language, split, data, faults=faults), english)
        return _FAULTS[key]

    def _has_related_english(self, english: str, language: str, split: str, data: Path | None) -> bool:
        """Whether there are English examples with the same ids; held-out rows and a file of the split have others."""
        holds = self.holdout.holds if self.holdout else lambda language, split: False
        return self.is_present(english, split, data) and holds(language, split) == holds(english, split)

    def _compare_with_english(
        self, keys: ExampleKeys, task: Task, language: str, split: str, data: Path | None
    ) -> Iterator[str]:
        """Notes about translations and their English examples.

        Raises:
            UserError: the label of a translation differs from that of its English example.
        """
        original = find_english(self.languages(split))
        english = self.fingerprint(task, original, split, data)
        if english not in _ENGLISH_KEYS:
            _ENGLISH_KEYS[english] = collect_keys(self._rows(task, original, split, data), formats.get(task.format))
        comparison = compare_with_english(keys, _ENGLISH_KEYS[english])
        if comparison.first_mismatch is not None:
            row = next(islice(self._rows(task, language, split, data), comparison.first_mismatch, None))
            raise UserError(
                f"the label '{formats.get(task.format).gold(row.example)}' differs from that of the English example", where=row.where,
                fix="The files do not match: take both from the same place and version.",
            )  # fmt: skip
        if comparison.untranslated:
            yield f"{comparison.untranslated:,} of the English examples have no usable translation"
        if comparison.unmatched:
            yield f"{comparison.unmatched:,} of {len(keys.ids):,} translations have no English example"

    def read(
        self, task: Task, language: str, split: str, data: Path | None, *, size: int | None = None, seed: int = 0
    ) -> Iterator[Any]:
        """Examples in file order: all, or the subset of `size` under `seed`. See `tasks.task.Source`."""
        paths = self.paths(task, language, split, data)  # reports a missing file now, not at the first example
        if size is None:
            return (row.example for row in self._rows(task, language, split, data))
        available = self.size(task, language, split, data)
        if size > available:
            raise UserError(
                f"{task.name} {language} {split} has {count_noun(available, 'example')}, fewer than the {size:,} requested",
                where=str(paths[0]),
                fix=f"Request {available:,} or fewer, or leave the size out to use all of them.",
            )
        if self.joined:
            ids = (row.example.id for row in self._rows(task, language, split, data))
            mask = select_by_id(ids, size, seed, task.name, split)
        else:
            mask = subset_mask(available, size, seed, task.name, language, split)
        rows = self._rows(task, language, split, data)  # first in the zip, so that it is read and checked to its end
        return (row.example for row, is_selected in zip(rows, mask, strict=False) if is_selected)

    def read_labels(self, task: Task, splits: tuple[str, ...], data: Path | None) -> tuple[str, ...]:
        """The labels in the files of some splits, in order: numbers by value, others by code point. Two spellings of a whole
        number or truth value are one label. For a task that declares none.

        Rows of a custom task with an error are passed over, since `survey` and `read` report them, unless no label is left.
        """
        labels: set[str] = set()
        error: UserError | None = None
        reader = READERS[self.reader]
        read = reader.rows if self.kind == "custom" else reader.read
        format, columns = formats.get(task.format), self.column_names(task.format) if self.kind == "custom" else ()
        for split in splits:
            for language in self.languages(split):
                paths = self.paths(task, language, split, data)
                for row in read(paths, self.layout(task, language)):
                    error = error or row.error
                    if row.example is not None and not is_header(row.example, format, columns):
                        labels.update(format.example_labels(row.example))
        if error is not None and not labels - {""}:
            raise error
        return sort_labels(labels - {""})

    def fingerprint(self, task: Task, language: str, split: str, data: Path | None) -> str:
        """SHA-256 of the bytes of the files and of every option here that affects how they are read."""
        share = self.document_shares.get(split)
        declared = {
            "reader": [self.reader, READERS[self.reader].version],
            "format": task.format,
            "labels": task.labels,
            "language": language,
            "columns": dict(self.columns),
            "values": {name: dict(mapping) for name, mapping in self.values.items()},
            "drop": self.drop,
            "unquote": self.unquote,
            "part": ["position", share.start, share.end] if share else None,
            "files": [file_sha256(path) for path in self.paths(task, language, split, data)],
        }
        optional = {
            "where": self._where(language),
            "header": self.header,
            "ragged": self.ragged,
            "direction": self.direction,
            "numbered": self.numbered,
            "joined": self.joined,
            "corrections": self._faults(task, language, split).corrections(),
            "rules": READERS[self.reader].rules_for(language),
        }
        if self.kind == "custom" and READERS[self.reader].records and "choices" in formats.get(task.format).columns:
            optional["choices"] = "by number"  # other versions read them in the order of their names
        declared |= {
            name: value for name, value in optional.items() if value
        }  # an option at its default changes no key
        if self.holdout and (divided := self.holdout.divided_language(language, split)):
            reference = self.paths(task, divided, TRAIN, data) if divided != language else ()
            declared["holdout"] = self.holdout.identity(language, split, [file_sha256(path) for path in reference])
        return hashlib.sha256(canonical_json(declared).encode()).hexdigest()

    def first_row(self, task: Task, data: Path | None) -> Row | None:
        """The first row of the task's first file on this machine (optional_fields.py)."""
        present = (
            (self.fingerprint(task, language, split, data), self.paths(task, language, split, data), self.layout(task, language))
            for split in self.splits() if split in self.files
            for language in self.languages(split) if self.is_present(language, split, data)
        )  # fmt: skip
        return find_first_row(READERS[self.reader], present)

    def _divide(self, task: Task, language: str, split: str, data: Path | None) -> Division | None:
        """The division of the training rows that a split is a part of; None if the split has its files for itself."""
        divided = self.holdout.divided_language(language, split) if self.holdout else ""
        if self.holdout is None or not divided:
            return None
        key = self.fingerprint(task, divided, TRAIN, data)
        if key not in _DIVISIONS:
            rows = self._file_rows(task, divided, TRAIN, data, keep_errors=self.kind == "custom")
            place = str(self.paths(task, divided, TRAIN, data)[0])
            _DIVISIONS[key] = self.holdout.divide(rows, divided, formats.get(task.format), place)
        return _DIVISIONS[key]

    def _describe_holdout(self, task: Task, language: str, split: str, data: Path | None) -> tuple[str, ...]:
        division = self._divide(task, language, split, data)
        if self.holdout is None or division is None:
            return ()
        held = tuple(name for name in division.shares if self.holdout.holds(language, name))
        return division.describe(self._file_rows(task, language, split, data, keep_errors=True), split, held)

    def _file_rows(
        self, task: Task, language: str, split: str, data: Path | None, skipped: Counter[str] | None = None,
        faults: FaultCounter | None = None, *, keep_errors: bool = False,
    ) -> Iterator[Row]:  # fmt: skip
        """Every row with an example in the files of a split, those of other splits included; not checked.

        Args:
            skipped: counts the rows without an example by reason.
            faults: counts faulty rows.
            keep_errors: yield rows with an error too; otherwise the first error is raised.
        """
        faults = faults or self._faults(task, language, split)
        faults.counts.clear()  # rows are read again if ids look duplicated
        if skipped is not None:
            skipped.clear()
        reader, number = READERS[self.reader], 0
        read = reader.rows if keep_errors else reader.read
        layout = self.layout(task, language)
        if self.kind == "custom":
            layout = replace(layout, usage=usage_of(self.fingerprint(task, language, split, data)))
        for row in read(self.paths(task, language, split, data), layout):
            if row.skip_reason:
                if skipped is not None:
                    skipped[row.skip_reason] += 1
                continue
            row = faults.read(row)
            if self.numbered and self.holdout and row.error is None:  # held-out rows have their numbers among all rows
                row = replace(row, example=replace(row.example, id=str(number)))
                number += 1
            yield row

    def _faults(self, task: Task, language: str, split: str) -> FaultCounter:
        """The known faults in the files of a split."""
        is_held_out = self.holdout is not None and self.holdout.holds(language, split)
        return FaultCounter.of(task, language, TRAIN if is_held_out else split, self.kind)

    def _rows(
        self,
        task: Task,
        language: str,
        split: str,
        data: Path | None,
        skipped: Counter[str] | None = None,
        errors: RecordErrors | None = None,
        faults: FaultCounter | None = None,
    ) -> Iterator[Row]:
        """Every row of the split, checked; `skipped` counts rows without an example by reason, `faults` faulty rows.

        With `errors`, rows with an error are collected there and left out. Without it, the first error is raised.
        """
        paths = self.paths(task, language, split, data)
        layout = self.layout(task, language)
        reader = READERS[self.reader]
        original = self.originals.get(split, "")
        if original and (evidence := find_removed_labels(reader, paths, layout)):
            raise UserError(
                f"XTREME's scripts removed the labels of {task.name} {language} {split} ({evidence}), so it cannot be scored",
                where=str(paths[0]),
                fix=f"Use the original: {original}.",
            )

        def read() -> Iterator[Row]:
            keep_errors = errors is not None
            rows = self._file_rows(task, language, split, data, skipped, faults, keep_errors=keep_errors)
            belongs: Callable[[Row], bool] | None = None
            if share := self.document_shares.get(split):
                belongs = share.select(self._file_rows(task, language, split, data, keep_errors=keep_errors))
            elif division := self._divide(task, language, split, data):
                belongs = lambda row: division.split_of(row) == split  # noqa: E731
            return rows if belongs is None else filter(belongs, rows)

        numbered = self.numbered and self.holdout is None
        columns = self.column_names(task.format) if self.kind == "custom" else ()
        checks = Checks(
            task, language, split, str(paths[0]), numbered, self.kind != "custom", original, columns, errors,
            self.first_row(task, data),
        )  # fmt: skip
        return checks.rows(read)

    def column_names(self, format: str) -> frozenset[str]:
        """The columns that a file may have, in lower case: the usual ones of its format, and the declared ones."""
        names = [*self.header, *(name for usual in formats.get(format).columns.values() for name in usual)]
        for named in self.columns.values():
            names += [named] if isinstance(named, str) else named
        return frozenset(name.lower() for name in names if name)

    def layout(self, task: Task, language: str) -> Layout:
        """The options for the reader."""
        where = self._where(language)
        direction = tuple(code.replace("{lang}", language) for code in self.direction)
        return Layout(
            task.format, language, self.columns, self.values, self.drop, self.unquote, where, self.header, self.ragged,
            direction, task.labels, keeps_empty=self.kind != "custom",
        )  # fmt: skip

    def _where(self, language: str) -> dict[str, str]:
        return {column: self.insert_code(value, language) for column, value in self.where.items()}


_SIZES: dict[str, int] = {}
"""Fingerprint -> number of examples, for this process."""
_SUMMARIES: dict[tuple[str, tuple[Path, ...]], SplitSummary] = {}
"""(fingerprint, paths) -> result of `FileSource.survey` without errors."""
_FAULTS: dict[tuple[str, ...], tuple[FaultyRows, ...]] = {}
"""(task, fingerprint, fingerprint of English if it is present) -> result of `FileSource.faulty_rows`."""
_NOTES: dict[str, tuple[str, ...]] = {}
"""Fingerprint -> result of `FileSource.notes`."""
_DIVISIONS: dict[str, Division] = {}
"""Fingerprint of the training rows -> how they are divided."""
_ENGLISH_KEYS: dict[str, ExampleKeys] = {}
"""Fingerprint -> keys of the English examples that translations are compared with."""
