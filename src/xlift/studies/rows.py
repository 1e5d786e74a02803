"""The intermediate rows of a study's table, with their tasks and languages resolved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from xlift.errors import UserError, did_you_mean
from xlift.recipes import Masking, Noise, Sampling, TextShare
from xlift.studies.job import Labels, noise_name
from xlift.studies.resolver import Resolver
from xlift.studies.schema.intermediate import Control, Intermediate, MixturePart, Stage
from xlift.studies.schema.text import TextBesideLabels
from xlift.studies.schema.training import RecipePatch
from xlift.tasks import formats
from xlift.tasks.task import Task
from xlift.yaml_document import Keys


@dataclass(frozen=True)
class MixtureShare:
    """A part of a mixture in one language."""

    task: Task
    language: str
    split: str
    size: int | None
    where: Keys
    weight: float = 1.0
    """Relative share of the steps under the rule 'weights'."""
    noise: Noise | None = None
    labels: Labels = "given"

    @property
    def learned_task(self) -> Task:
        """The task that a stage learns from it: plain text without labels."""
        return self.task.as_text() if self.labels == "none" else self.task


@dataclass(frozen=True)
class TrainingStage:
    shares: tuple[MixtureShare, ...]
    sampling: Sampling
    training: tuple[RecipePatch, ...]
    """The study's settings for this stage; later ones override earlier ones."""
    head: str = ""
    keep_heads: tuple[str, ...] = ()
    masking: Masking | None = None
    where: Keys = ()
    text_settings: TextBesideLabels | None = None
    text: tuple[MixtureShare, ...] = ()
    """The text beside the labels, a share for each language."""
    is_control: bool = False
    """Trains all its steps and is not evaluated on dev, where its labels do not count."""

    def weights(self) -> tuple[float, ...]:
        """Weights of `shares` with sum 1, so that 2 to 1 and 4 to 2 are one job; empty for other sampling rules."""
        total = sum(share.weight for share in self.shares)
        by_weight = self.sampling.rule == "weights"
        return tuple(share.weight / total for share in self.shares) if by_weight else ()

    def text_share(self) -> TextShare | None:
        text = self.text_settings
        return TextShare(share=text.share, alpha=text.alpha) if text else None


@dataclass(frozen=True)
class IntermediateRow:
    """A row of the table: stages to train one after the other, or rows above to merge."""

    name: str
    language: str
    size: str
    stages: tuple[TrainingStage, ...] = ()
    merge: tuple[tuple[str, float], ...] = ()
    """(id, weight)"""
    control: Control | None = None
    """Of a control: its kind. `stages` are then those that it trains in place of those of its row; of 'steps' those of its row."""
    control_of: str = ""
    """Of a control: the name of its row, which has the same language and size."""

    @property
    def id(self) -> str:
        return " ".join(filter(None, (self.name, self.language, self.size)))


def list_rows(resolver: Resolver) -> list[IntermediateRow]:
    """The rows of the table. They differ in name, language or size.

    Raises:
        UserError: two rows are the same, or a task or language is unknown, with the place in the study.
    """
    rows: dict[str, IntermediateRow] = {}
    for index, entry in enumerate(resolver.file.study.intermediate):
        where: Keys = ("intermediate", index)
        no_intermediate = [IntermediateRow("none", "", "")]
        for row in no_intermediate if entry == "none" else _rows_of_entry(resolver, entry, where, list(rows.values())):
            if row.id in rows:
                raise UserError(
                    f"two intermediates make the same row '{row.id}'",
                    where=resolver.file.locate(*where),
                    fix="remove one, or give it another `name:`.",
                )
            rows[row.id] = row
    return list(rows.values())


def _rows_of_entry(
    resolver: Resolver, entry: Intermediate, where: Keys, above: list[IntermediateRow]
) -> Iterator[IntermediateRow]:
    """The rows of an entry, each with its controls below it."""
    for row in _trained_rows(resolver, entry, where, above):
        yield row
        for at, control in enumerate(entry.controls):
            yield _control_row(resolver, row, control, (*where, "controls", at))


def _control_row(resolver: Resolver, row: IntermediateRow, control: Control, where: Keys) -> IntermediateRow:
    shares = [share for stage in row.stages for share in stage.shares]
    if control != "steps" and all(formats.get(share.task.format).is_plain_text for share in shares):
        raise UserError(
            f"{row.name} is plain text and has no labels, so it has no control '{control}'",
            where=resolver.file.locate(*where), fix="remove it; `steps` is a control for text too.",
        )  # fmt: skip
    stages = row.stages
    if control == "shuffled":
        stages = tuple(
            replace(stage, shares=_with_labels(stage.shares, "shuffled"), is_control=True) for stage in stages
        )
    elif control == "text":
        stages = tuple(
            replace(stage, shares=_with_labels(stage.shares, "none"), is_control=True, head="", keep_heads=())
            for stage in stages
        )
    return replace(row, name=f"{row.name} ({control})", stages=stages, control=control, control_of=row.name)


def _with_labels(shares: tuple[MixtureShare, ...], labels: Labels) -> tuple[MixtureShare, ...]:
    return tuple(
        share if formats.get(share.task.format).is_plain_text else replace(share, labels=labels) for share in shares
    )


def _trained_rows(
    resolver: Resolver, entry: Intermediate, where: Keys, above: list[IntermediateRow]
) -> Iterator[IntermediateRow]:
    if entry.merge:
        yield _merged_row(resolver, entry, where, above)
        return
    sizes = entry.size if isinstance(entry.size, tuple) else (entry.size,)
    if not entry.task:
        for size in sizes:
            yield _mixture_row(resolver, entry, size, where)
        return
    task = resolver.find_training_task(entry.task, (*where, "task"), text=True)
    for language in resolver.find_languages(task, entry.language, entry.split, _language_place(entry, where)):
        for size in sizes:
            share = MixtureShare(task, language, entry.split, size, where, noise=entry.noise)
            stage = TrainingStage(
                (share,), entry.sampling, (entry.training,), entry.head, entry.keep_heads, entry.masking, where,
                entry.text, _text_shares(resolver, entry.text, (*where, "text")),
            )  # fmt: skip
            name = entry.name or entry.task + (f" ({noise_name(entry.noise)})" if entry.noise else "")
            yield IntermediateRow(name, language, "" if size is None else str(size), (stage,))


def _merged_row(resolver: Resolver, entry: Intermediate, where: Keys, above: list[IntermediateRow]) -> IntermediateRow:
    """Rows with the same name share its weight equally; without weights all rows have equal ones, with sum 1."""
    rows_by_name: list[list[IntermediateRow]] = []
    for at, name in enumerate(entry.merge):
        rows = [row for row in above if row.name == name and name != "none" and not row.control]
        if not rows:
            names = list(dict.fromkeys(row.name for row in above if row.name != "none" and not row.control))
            what = "'none' is the start of every merge" if name == "none" else f"no row '{name}' above to merge"
            if any(row.name == name and row.control for row in above):
                what = f"'{name}' is a control, which cannot be merged"
            raise UserError(
                what, where=resolver.file.locate(*where, "merge", at),
                fix=f"{did_you_mean(name, names)}Rows above: {', '.join(names)}." if names else "list the rows to merge before it.",
            )  # fmt: skip
        rows_by_name.append(rows)
    count = sum(map(len, rows_by_name))
    weights = entry.weights or [len(rows) / count for rows in rows_by_name]
    merge = [(row.id, weight / len(rows)) for rows, weight in zip(rows_by_name, weights, strict=True) for row in rows]
    languages = dict.fromkeys(language for rows in rows_by_name for row in rows for language in row.language.split("+"))
    return IntermediateRow(entry.name, "+".join(languages), "", merge=tuple(merge))


def _mixture_row(resolver: Resolver, entry: Intermediate, size: int | None, where: Keys) -> IntermediateRow:
    """The row of a mixture or of several stages; its size is the sum over all parts, if each has one.

    Args:
        size: of the parts without their own.
    """
    if entry.stages:
        stages = [(stage, (*where, "stages", number)) for number, stage in enumerate(entry.stages)]
    else:
        stages = [(_single_stage(entry), where)]
    training_stages: list[TrainingStage] = []
    for stage, here in stages:
        shares = tuple(
            share
            for n, part in enumerate(stage.mixture)
            for share in _mixture_shares(resolver, part, size, (*here, "mixture", n))
        )
        training = (entry.training, stage.training)
        text = _text_shares(resolver, stage.text, (*here, "text"))
        training_stages.append(
            TrainingStage(
                shares, stage.sampling, training, stage.head, stage.keep_heads, stage.masking, here, stage.text, text
            )
        )
    shares = [share for stage in training_stages for share in stage.shares]
    sizes = [share.size for share in shares if share.size is not None]
    languages = "+".join(dict.fromkeys(share.language for share in shares))
    total = str(sum(sizes)) if len(sizes) == len(shares) else ""
    return IntermediateRow(entry.name, languages, total, tuple(training_stages))


def _mixture_shares(resolver: Resolver, part: MixturePart, size: int | None, where: Keys) -> Iterator[MixtureShare]:
    """One share for each language; they share the part's weight equally."""
    task = resolver.find_training_task(part.task, (*where, "task"), text=True)
    languages = resolver.find_languages(task, part.language, part.split, _language_place(part, where))
    weight = 1.0 if part.weight is None else part.weight
    for language in languages:
        yield MixtureShare(task, language, part.split, part.size or size, where, weight / len(languages), part.noise)


def _text_shares(resolver: Resolver, text: TextBesideLabels | None, where: Keys) -> tuple[MixtureShare, ...]:
    if text is None:
        return ()
    task = resolver.find_task(text.task, (*where, "task"))
    if not formats.get(task.format).is_plain_text:
        raise UserError(
            f"{task.name} is {task.format}, and `text` needs plain text", where=resolver.file.locate(*where, "task"),
            fix="name a text task, such as isle-text or plain-text; put tasks with labels into the mixture.",
        )  # fmt: skip
    languages, key, sizes = text.by_language()
    return tuple(
        MixtureShare(task, language, text.split, sizes(place), where)
        for place, language in enumerate(resolver.find_languages(task, languages, text.split, (*where, key)))
    )


def _single_stage(entry: Intermediate) -> Stage:
    return Stage(
        mixture=entry.mixture, sampling=entry.sampling, head=entry.head, keep_heads=entry.keep_heads,
        masking=entry.masking, text=entry.text,
    )  # fmt: skip


def _language_place(part: MixturePart | Intermediate, where: Keys) -> Keys:
    """The key that sets the language: `language`, or `task` for its training language."""
    return (*where, "language" if part.language else "task")
