"""The table of a study as claims see it: its rows, targets, languages and noise, without scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from xlift.claims.claim import ALL, OTHER_TASKS, ZERO_SHOT, Names
from xlift.errors import UserError, did_you_mean
from xlift.language_tags import has_language

BASELINE = "none"
"""The intermediate of a row without an intermediate stage."""
SEPARATOR = ","
LISTED = 20
"""Names that a message lists at most."""


class RowKey(NamedTuple):
    """A row of the table. Equal to the `PipelineKey` with the same values."""

    model: str
    intermediate: str
    intermediate_language: str = ""
    size: str = ""


class Column(NamedTuple):
    """Scores of all rows on a target in a language, with or without noise."""

    target: str
    language: str
    noise: str = ""


class AnyCell(Protocol):
    """A planned or scored cell."""

    @property
    def model(self) -> str: ...
    @property
    def intermediate(self) -> str: ...
    @property
    def intermediate_language(self) -> str: ...
    @property
    def size(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def train_language(self) -> str: ...
    @property
    def noise(self) -> str: ...
    @property
    def control(self) -> str: ...


def row_of(cell: AnyCell) -> RowKey:
    if cell.intermediate == BASELINE:
        return RowKey(cell.model, BASELINE)
    return RowKey(cell.model, cell.intermediate, cell.intermediate_language, cell.size)


def row_name(row: Sequence[str], among: Sequence[Sequence[str]]) -> str:
    """The intermediate of a row, and its other parts that differ among the rows: 'mnli,en,1000'."""
    parts = [row[1]]
    for field in (2, 3, 0):  # language, size, model
        if row[field] and len({other[field] for other in among} - {""}) > 1:
            parts.append(row[field])
    return SEPARATOR.join(parts)


def list_names(names: Sequence[str]) -> str:
    return f"{'; '.join(names[:LISTED])}{'; ...' if len(names) > LISTED else ''}"


@dataclass(frozen=True)
class Table:
    rows: tuple[RowKey, ...]
    controls: frozenset[RowKey]
    columns: tuple[Column, ...]
    trained: dict[str, frozenset[str]]
    """Target -> languages that it is trained on."""
    same_task: frozenset[tuple[RowKey, str]] = frozenset()
    """Rows that train on labels of a target's own task, with the target."""

    @classmethod
    def of(cls, cells: Iterable[AnyCell]) -> Table:
        cells = list(cells)
        trained: dict[str, set[str]] = {}
        for cell in cells:
            trained.setdefault(cell.target, set()).update(filter(None, cell.train_language.split("+")))
        return cls(
            tuple(dict.fromkeys(map(row_of, cells))),
            frozenset(row_of(cell) for cell in cells if cell.control),
            tuple(dict.fromkeys(Column(cell.target, cell.language, cell.noise) for cell in cells)),
            {target: frozenset(codes) for target, codes in trained.items()},
            frozenset((row_of(cell), cell.target) for cell in cells if getattr(cell, "same_task", False)),
        )

    @property
    def targets(self) -> Names:
        return tuple(dict.fromkeys(column.target for column in self.columns))

    def find_targets(self, name: str) -> Names:
        """The targets that a name means: itself, or those of the mean 'all' or 'other-tasks'; () for an unknown one."""
        if name == OTHER_TASKS:
            marked = {target for _, target in self.same_task}
            return tuple(target for target in self.targets if target not in marked)
        return self.targets if name == ALL else tuple(target for target in self.targets if target == name)

    def name(self, row: RowKey) -> str:
        return row_name(row, self.rows)

    def find_rows(self, name: str, where: str = "") -> list[RowKey]:
        """The rows whose intermediate, language, size and model have the values of `name`: 'mnli,en,1000'.

        Raises:
            UserError: there are none.
        """
        wanted = [part.strip() for part in name.split(SEPARATOR)]
        if not (found := [row for row in self.rows if all(part and part in row for part in wanted)]):
            names = [self.name(row) for row in self.rows]
            fix = f"{did_you_mean(name, names)}Rows: {list_names(names)}."
            raise UserError(f"no row '{name}'", where=where, fix=fix)
        return found

    def languages(self, target: str, names: Names, noise: str, where: str) -> Names:
        """The languages of a target, with some noise, that `names` mean: codes, 'all' or 'zero-shot'. () for codes that the
        target does not have.

        Raises:
            UserError: the target has no languages, or none that it is not trained on.
        """
        codes = tuple(column.language for column in self.columns if (column.target, column.noise) == (target, noise))
        if not codes:
            noises = list(dict.fromkeys(c.noise for c in self.columns if c.target == target and c.noise))
            fix = f"{did_you_mean(noise, noises)}It has: {', '.join(noises) or 'none'}."
            raise UserError(f"the target {target} is not scored with the noise '{noise}'", where=where, fix=fix)
        if names == (ALL,):
            return codes
        if names != (ZERO_SHOT,):
            return tuple(code for code in codes if code in names)
        if not (found := self._zero_shot(target, codes)):
            raise UserError(
                f"the target {target} is only scored in languages that it is trained on ({', '.join(codes)})",
                where=where,
                fix=f"write `languages: {ALL}` in the claim, or score more languages.",
            )
        return found

    def has_zero_shot(self, target: str) -> bool:
        """Whether a target is scored in a language that it is not trained on."""
        return bool(
            self._zero_shot(target, tuple(column.language for column in self.columns if column.target == target))
        )

    def _zero_shot(self, target: str, codes: Names) -> Names:
        return tuple(code for code in codes if not has_language(self.trained.get(target, ()), code))

    def check_languages(self, names: Names, where: str) -> None:
        """Raises UserError for a code that no target has."""
        codes = list(dict.fromkeys(column.language for column in self.columns))
        for name in names:
            if name not in (*codes, ALL, ZERO_SHOT):
                fix = f"{did_you_mean(name, codes)}Languages of the targets: {', '.join(codes)}."
                raise UserError(f"no target is scored in '{name}'", where=where, fix=fix)
