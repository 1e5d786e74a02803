"""Interactions: whether the difference of two rows differs between two groups of languages, or under noise.

An interaction is a difference of differences, (A - B in the first group) - (A - B in the second), paired by seed and
example. Languages of a group weigh equally.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xlift.analysis.contrasts import Contrast, adjust
from xlift.analysis.effects import EffectMeasurer
from xlift.analysis.estimates import ALL, PipelineKey, ScoredCell
from xlift.analysis.robustness import select_rows
from xlift.claims.effects import Effect
from xlift.claims.table import Column, RowKey, Table, row_name
from xlift.errors import UserError, did_you_mean

CLEAN = "clean"
GROUP_KEYS = ("family", "script", "tier")

Groups = tuple[Sequence[str], Sequence[str]]


def compare_groups(
    cells: Sequence[ScoredCell], first: PipelineKey, second: PipelineKey, groups: Groups, study: str = ""
) -> list[Contrast]:
    """The difference of two rows in one group of languages minus that in another, on every target with languages of both
    groups, and on their mean.

    Args:
        groups: codes of languages.

    Raises:
        UserError: a group has no language of a target, a language is in both groups, or as `compute_lifts`.
    """
    clean = [cell for cell in cells if not cell.noise]
    table, label = Table.of(clean), " / ".join("+".join(group) for group in groups)
    for group in groups:
        table.check_languages(tuple(group), "")
    if both := set(groups[0]) & set(groups[1]):
        raise UserError(f"'{min(both)}' is in both groups", fix="give groups without a language in common.")
    parts: dict[str, tuple[list[Column], list[Column]]] = {}
    for target in table.targets:
        found = tuple(
            [Column(target, code) for code in group if Column(target, code) in table.columns] for group in groups
        )
        if all(found):
            parts[target] = found[0], found[1]
    if not parts:
        raise UserError(
            f"no target has languages of both groups ({label})",
            fix="`xlift report STUDY --languages` shows the languages of each target.",
        )
    return _measure(clean, first, second, parts, label, study)


def compare_noise(
    cells: Sequence[ScoredCell], first: PipelineKey, second: PipelineKey, noise: str, study: str = ""
) -> list[Contrast]:
    """The difference of two rows with noise in the texts minus that without, on every target with this noise, and on their
    mean. Both are over the same examples and languages.

    Args:
        noise: its name, such as 'typos 10%'.

    Raises:
        UserError: the study does not have the noise, or as `compute_lifts`.
    """
    noisy = [cell for cell in cells if cell.noise == noise]
    if not noisy:
        noises = list(dict.fromkeys(cell.noise for cell in cells if cell.noise))
        fix = f"{did_you_mean(noise, noises)}The study has: {', '.join(noises) or 'none'}."
        raise UserError(f"no scores with the noise '{noise}'", fix=fix)
    ids = {(cell.target, cell.metric, cell.language): set(cell.ids) for cell in noisy}
    clean = [
        select_rows(cell, ids[cell.target, cell.metric, cell.language])
        for cell in cells
        if not cell.noise and (cell.target, cell.metric, cell.language) in ids
    ]
    parts: dict[str, tuple[list[Column], list[Column]]] = {}
    for target, _, language in ids:
        pair = parts.setdefault(target, ([], []))
        pair[0].append(Column(target, language, noise))
        pair[1].append(Column(target, language))
    return _measure([*clean, *noisy], first, second, parts, f"{noise} / {CLEAN}", study)


def find_languages(text: str, languages: Sequence[Mapping[str, str]]) -> list[str]:
    """The codes of a group: 'sw,ur', or with the values of family, script or tier that the report shows: 'low,unseen'.

    Args:
        languages: code, family, script and tier of the languages of a study.

    Raises:
        UserError: a name is no code and no such value.
    """
    codes: dict[str, None] = {}
    for name in (part.strip() for part in text.split(",")):
        found = [each["code"] for each in languages if each["code"] == name]
        found = found or [each["code"] for each in languages if name and name in (each.get(key) for key in GROUP_KEYS)]
        if not found:
            names = [each["code"] for each in languages]
            names += dict.fromkeys(value for each in languages for key in GROUP_KEYS if (value := each.get(key)))
            raise UserError(
                f"no language or group '{name}'", fix=f"{did_you_mean(name, names)}Give some of: {', '.join(names)}."
            )
        codes |= dict.fromkeys(found)
    return list(codes)


def _measure(
    cells: Sequence[ScoredCell],
    first: PipelineKey,
    second: PipelineKey,
    parts: Mapping[str, tuple[list[Column], list[Column]]],
    label: str,
    study: str,
) -> list[Contrast]:
    if first == second:
        raise UserError(f"both rows are '{row_name(first, [first])}'", fix="give two different rows.")
    measurer = EffectMeasurer(cells)
    rows = {RowKey(*first): 1.0, RowKey(*second): -1.0}
    metrics: dict[str, str] = {}
    for cell in cells:
        metrics.setdefault(cell.target, cell.metric)
    found = []
    for target in ([ALL] if len(parts) > 1 else []) + list(parts):
        names = list(parts) if target == ALL else [target]
        sides = [
            {column: 1 / len(names) / len(parts[name][side]) for name in names for column in parts[name][side]}
            for side in (0, 1)
        ]
        difference = {**sides[0], **{column: -weight for column, weight in sides[1].items()}}
        measured = [measurer.measure(Effect(label, rows, columns)) for columns in (difference, *sides)]
        if any(each is None for each in measured):
            continue
        both, *each_side = [each.contrast for each in measured if each is not None]
        interval = both.interval()
        found.append(
            Contrast(
                study=study,
                rows=(row_name(first, [first, second]), row_name(second, [first, second])),
                target=target,
                language=label,
                metric="mean" if target == ALL else metrics[target],
                seeds=both.seeds,
                n=both.n,
                scores=tuple(side.estimate.value for side in each_side),
                difference=interval.value,
                low=interval.low,
                high=interval.high,
                p=2 * min(both.p_above(), both.p_below()) if both.covers_seeds else None,
            )
        )
    if not found:
        raise UserError("both rows have no target and seed in common there")
    return adjust(found)
