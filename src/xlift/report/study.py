"""The report of one study: table rows from the store, and the texts of its page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from xlift.analysis.borrowed import MOST_SEEDS, Lender, borrow_tables, describe_loans, find_lenders
from xlift.analysis.chance import chance_levels
from xlift.analysis.contrasts import compare_pairs, find_row
from xlift.analysis.cross_fit import best_per_target
from xlift.analysis.estimates import BASELINE, PipelineKey, ScoredCell
from xlift.analysis.lift import LiftRow, compute_lifts
from xlift.analysis.rate_choices import TargetStage, read_target_stages
from xlift.analysis.robustness import RobustnessRow, compute_robustness
from xlift.analysis.scores import AT_OFFICIAL_LAYER, load_cells
from xlift.analysis.seed_variance import SeedTables
from xlift.analysis.training_status import COLLAPSED, FP32, RETRIED, own_status
from xlift.claims import ClaimSet
from xlift.evidence.entries import Evidence
from xlift.report.classes import for_page as classes_for_page
from xlift.report.classes import shown_rows
from xlift.report.contamination import for_page
from xlift.report.contrasts import best_pairs
from xlift.report.contrasts import for_page as contrasts_for_page
from xlift.report.footer import CONTROLS
from xlift.report.learning_rates import rates_for_page
from xlift.report.page import PageInfo
from xlift.report.paper.claims import ClaimsReport, claims_limitations, make_claims_report
from xlift.report.paper.limitations import list_limitations
from xlift.report.recipes import describe_recipes, trained_stages, tried_keys
from xlift.report.robustness import for_page as noise_for_page
from xlift.report.tables import MARKS, format_points
from xlift.report.words import format_time, join_names
from xlift.studies.artifact import Artifact
from xlift.studies.job_numbers import DataNumbers
from xlift.studies.plan import Cell
from xlift.studies.record import Record
from xlift.studies.schema.intermediate import Intermediate, Stage
from xlift.studies.schema.models import NamedModel, PretrainedModel
from xlift.studies.schema.targets import Target, TargetData
from xlift.studies.schema.training import RecipePatch, Training, make_prompt_settings
from xlift.studies.store import Store
from xlift.studies.study import Study
from xlift.suites.definitions import SUITES
from xlift.tasks import formats
from xlift.units import count_noun, is_or_are

SUITE_TITLES = {suite.name: suite.title for suite in SUITES}


@dataclass(frozen=True)
class Report:
    rows: list[LiftRow]
    info: PageInfo
    noise_rows: list[RobustnessRow] = field(default_factory=list)
    """Effect of noise; empty if the study has no noisy targets."""
    claims: ClaimsReport | None = None
    """None if the study has no claims."""
    target_stages: list[TargetStage] = field(default_factory=list)
    """Target stages with a chosen learning rate or a dev curve."""


def make_report(
    record: Record,
    store: Store,
    *,
    every_metric: bool = False,
    borrow_variance: bool = False,
    claim_set: ClaimSet | None = None,
    evidence: Evidence | None = None,
    compared: Sequence[tuple[str, str]] = (),
) -> Report:
    """Make the rows and page texts of a study from the store alone.

    Args:
        borrow_variance: with one or two seeds, use the variance between seeds of other studies of the store. Verdicts on claims do not.
        claim_set: other claims than those of the record.
        evidence: published results beside the claims of the study, with those that ship with xlift.
        compared: pairs of names of rows to compare on the page; by default the best rows with each other.

    Raises:
        UserError: an artifact is damaged.
    """
    cells, missing = load_cells(record, store, every_metric=every_metric)
    lenders = find_lenders(record, store)
    lent = borrow_tables(lenders, cells, store) if borrow_variance else {}
    rows, noise_rows = compute_lifts(cells, record.name, lent), compute_robustness(cells, record.name)
    claims = make_claims_report(record, _of_first_metrics(record, cells), claim_set, evidence) if cells else None
    pairs = [(find_row(cells, one), find_row(cells, other)) for one, other in compared] or best_pairs(rows)
    target_stages = read_target_stages(record, store)
    warnings = []
    if missing:
        warnings.append(
            f"{len(missing)} of {len(record.cells)} predictions {is_or_are(len(missing))} missing: the study is not finished."
        )
    if record.cells and not any(cell.intermediate == BASELINE for cell in record.cells):
        warnings.append("there are scores but no lifts: the study's `intermediate` does not list `none`, the baseline.")
    artifacts = _artifacts(record, store)
    warnings += _training_warnings(artifacts) + _prompt_length_warnings(artifacts)
    info = PageInfo(
        study=record.name,
        title=record.study.title or record.name,
        question=record.study.question,
        method=describe_method(record, [artifact.manifest for artifact in artifacts]),
        languages=list(record.languages),
        runs=summarize_jobs(artifacts),
        warnings=warnings,
        notes=[
            *_loan_notes(record, lenders, lent, asked=borrow_variance),
            *_best_per_target_notes(cells, record),
            *_suite_notes(record.study),
            *(f"Known fault of {sentence}" for note in record.tasks.values() for sentence in note.faults),
        ],
        contamination=for_page(record, store),
        claims=claims.for_page() if claims else {},
        limitations=[
            *(claims_limitations(claims) if claims else ()),
            *list_limitations(
                record, rows, chance_levels(record, store, [row for row in rows if row.intermediate == BASELINE])
            ),
        ],
        noise=noise_for_page(noise_rows),
        classes=classes_for_page(shown_rows(record, store, rows)),
        contrasts=contrasts_for_page(compare_pairs(cells, pairs, record.name, lent), are_chosen=bool(compared)),
        learning_rates=rates_for_page(target_stages),
        command=f"xlift run {record.name}",
        made=_last_start_time(artifacts),
    )
    return Report(rows, info, noise_rows, claims, target_stages)


def _of_first_metrics(record: Record, cells: Sequence[ScoredCell]) -> list[ScoredCell]:
    """The scores that claims are about."""
    metrics = {cell.target: record.tasks[cell.task].metrics[0] for cell in record.cells}
    return [cell for cell in cells if cell.metric.removesuffix(AT_OFFICIAL_LAYER) == metrics.get(cell.target)]


def _best_per_target_notes(cells: Sequence[ScoredCell], record: Record) -> list[str]:
    """The lift of the best row of each target, without the luck of the choice."""
    left_out = {
        (PipelineKey(cell.model, cell.intermediate, cell.intermediate_language, cell.size), cell.target)
        for cell in record.cells
        if cell.same_task
    }
    found = best_per_target(cells, left_out)
    return [
        f"The best of {count_noun(each.rows, 'row')} on each target{f' of {each.model}' if len(found) > 1 else ''} lifts by {format_points(each.lift.value)} "
        f"percentage points on average over {count_noun(each.targets, 'target')} and their zero-shot languages (95% interval {format_points(each.lift.low)} to {format_points(each.lift.high)}), "
        "where half of the seeds and half of the test examples choose the row and the other halves score it. The highest lifts of the "
        "table itself are too high on average."
        for each in found
    ]


def _loan_notes(record: Record, lenders: Sequence[Lender], lent: SeedTables, *, asked: bool) -> list[str]:
    """Say from which studies the variance between seeds is borrowed, or could be."""
    seeds = len({cell.seed for cell in record.cells})
    if lent:
        return describe_loans(lent)
    if asked and seeds > MOST_SEEDS:
        return [f"The variance between seeds is not borrowed: this study has {seeds} seeds of its own."]
    if asked:
        return [
            "The variance between seeds is not borrowed: no other finished study of the store has two seeds or more with the same model, "
            "the same training on a target and the same test examples."
        ]
    if lenders and seeds == 1:
        names = join_names(lender.record.name for lender in lenders)
        return [f"`--borrow-variance` uses the variance between seeds of {names}: same model, targets and training."]
    return []


def _training_warnings(artifacts: Sequence[Artifact]) -> list[str]:
    """Count the training runs that were retried or collapsed."""
    tried = tried_keys([artifact.manifest for artifact in artifacts])
    trained = [artifact for artifact in artifacts if artifact.kind == "train" and artifact.key not in tried]
    statuses = [own_status(artifact.numbers) for artifact in trained]
    collapsed, retried = statuses.count(COLLAPSED), statuses.count(RETRIED)
    sentences = []
    if in_fp32 := statuses.count(FP32):
        sentences.append(
            f"The loss of {in_fp32} of {len(statuses)} training runs was not a number in bfloat16. They were trained again in float32 "
            f"with the same learning rate (scores marked {MARKS[FP32]}; the attempts are in each training.json)."
        )
    if retried:
        sentences.append(
            f"{retried} of {len(statuses)} training runs collapsed to chance or diverged, then succeeded with a lower learning rate "
            f"(scores marked {MARKS[RETRIED]}; the attempts are in each training.json)."
        )
    if collapsed:
        sentences.append(
            f"{collapsed} of {len(statuses)} training runs ended at chance at every learning rate (scores marked {MARKS[COLLAPSED]})."
        )
    return sentences


def _prompt_length_warnings(artifacts: Sequence[Artifact]) -> list[str]:
    """Count the prompts that were longer than their `max_length`, by task and by use."""
    counts: dict[str, Counter[str]] = {}
    for artifact in artifacts:
        numbers, spec = artifact.numbers, artifact.manifest["spec"]
        if not isinstance(numbers, DataNumbers) or numbers.truncated_rows is None:
            continue
        if artifact.kind == "train":
            name = f"training on {' and '.join(dict.fromkeys(each['task'] for each in spec['mixture']))}"
        else:
            name = f"predictions of {spec['data']['task']}"
        counts.setdefault(name, Counter()).update(rows=numbers.rows or 0, truncated=numbers.truncated_rows)
    truncated = {name: count for name, count in counts.items() if count["truncated"]}
    if not truncated:
        return []
    amounts = ", ".join(f"{count['truncated']:,} of {count['rows']:,} in {name}" for name, count in truncated.items())
    return [
        f"prompts were longer than their `max_length` and lost few-shot examples or text: {amounts}. Set a larger "
        "`training: {max_length: N}` for the stage or target, up to the number of positions of the model."
    ]


def describe_method(record: Record, manifests: Sequence[dict[str, Any]] = ()) -> str:
    """Describe training and scoring in sentences for a paper's method section.

    Args:
        manifests: of the study's artifacts; they give the recipes of the trained stages.
    """
    method = method_sentences(record, manifests)
    return " ".join(sentence for sentences in method.values() for sentence in sentences)


def method_sentences(record: Record, manifests: Sequence[dict[str, Any]] = ()) -> dict[str, list[str]]:
    """The sentences of `describe_method` by subject: pipelines, targets, seeds, recipes and conversions."""
    study, cells = record.study, record.cells
    if not cells:
        return {}
    models = dict.fromkeys(cell.model for cell in cells)
    trained = [cell for cell in cells if not cell.control]
    rows = dict.fromkeys((cell.intermediate, cell.intermediate_language, cell.size) for cell in trained)
    lifted = [row for row in rows if row[0] != BASELINE]
    seeds = dict.fromkeys(cell.seed for cell in cells)
    start = f"{join_names(models)} {'was' if len(models) == 1 else 'were'} fine-tuned"
    if not lifted:
        pipelines = [f"{start} on each target, without an intermediate stage."]
    else:
        baseline = "; the baseline has none" if len(lifted) < len(rows) else ", without a baseline"
        pipelines = [f"{start} on an intermediate stage ({len(lifted)} of them{baseline}), then on each target."]
    entries = [model for model in study.models if not isinstance(model, str) and model.classifier_pooling == "mean"]
    if entries:
        names = [entry.name or entry.model if isinstance(entry, NamedModel) else entry.name for entry in entries]
        pipelines.append(
            f"Where one state stands for a whole text, the heads of {join_names(names)} read the mean of the states of all tokens."
        )
    kinds = dict.fromkeys(cell.control for cell in cells if cell.control)
    if kinds:
        listed = "; ".join(f"'{kind}', {CONTROLS[kind]}" for kind in kinds)
        pipelines.append(f"Controls have everything in common with an intermediate stage but one thing: {listed}.")
    about_seeds = (
        f"Every pipeline was run with {count_noun(len(seeds), 'seed')}. Each seed determines the subset of the training data, the "
        f"initial head and the order of examples. {_checkpoint_selection(record, manifests)} "
        + ("Stages kept the heads that the study lists under `keep_heads` and initialized the others anew."
           if any(stage.keep_heads for stage in _intermediate_stages(study)) else "Heads were initialized anew for every stage.")
    )  # fmt: skip
    return {
        "pipelines": pipelines,
        "targets": [_target(target, record) for target in study.targets],
        "seeds": [about_seeds],
        "recipes": describe_recipes(trained_stages(cells, manifests)),
        "conversions": _conversions(record),
    }


def _conversions(record: Record) -> list[str]:
    """Sentences on the models that were converted, with the digests of the published and of the converted files."""
    return [
        f"{each.name}: {each.description} (SHA-256 of the published files {each.source_digest}, of the converted ones "
        f"{each.written_digest})."
        for each in record.conversions
    ]


def _checkpoint_selection(record: Record, manifests: Sequence[dict[str, Any]]) -> str:
    """Describe how checkpoints were selected."""
    study = record.study
    levels: list[RecipePatch] = [study.training, *(each.training for each in _model_entries(study))]
    levels += [part for level in levels if isinstance(level, Training) for part in (level.intermediate, level.target)]
    levels += [each.training for each in (*_intermediate_stages(study), *study.targets)]
    recipes = [manifest["spec"].get("recipe", {}) for manifest in manifests if manifest["kind"] == "train"]
    if any(level.early_stopping for level in levels) or any(recipe.get("early_stopping") for recipe in recipes):
        return (
            "Stages with `early_stopping` used the checkpoint with the best score on dev data of their training languages; other "
            "stages used the last checkpoint."
        )
    if any(manifest["spec"].get("lr_choices") for manifest in manifests):
        return (
            "The last checkpoint was used. The learning rates of targets were chosen on dev data of their training languages, with "
            "the first seed."
        )
    if any(cell.dev_key or cell.official_key for cell in record.cells):
        return "The last checkpoint was used: no model was selected on a dev set."
    return "The last checkpoint was used: nothing was selected on a dev set in any language."


def _model_entries(study: Study) -> list[NamedModel | PretrainedModel]:
    return [entry for entry in study.models if not isinstance(entry, str)]


def _intermediate_stages(study: Study) -> list[Intermediate | Stage]:
    """The rows of the table and their stages."""
    rows = [entry for entry in study.intermediate if isinstance(entry, Intermediate)]
    return [*rows, *(stage for row in rows for stage in row.stages)]


def _suite_notes(study: Study) -> list[str]:
    """Name the suites whose languages targets are scored in."""
    targets: dict[str, list[str]] = {}
    for target in study.targets:
        languages = target.languages or study.languages
        names = (languages,) if isinstance(languages, str) else languages
        if any(name in SUITE_TITLES for name in names):
            titles = [SUITE_TITLES.get(name, name) for name in names]
            targets.setdefault(join_names(titles), []).append(target.name or target.task)
    return [
        f"{join_names(names)}: in the languages of {titles}, over which it averages."
        for titles, names in targets.items()
    ]


def _target(target: Target, record: Record) -> str:
    """Describe how one target was trained and scored."""
    note, name = record.tasks[target.task], target.name or target.task
    cells = [cell for cell in record.cells if cell.target == name]
    languages = count_noun(len({cell.language for cell in cells}), "language")
    split = {"test": "", "dev": " on the dev split", "train": " on the training split"}[target.split]
    scored = f"scored in {languages}{split}"
    what = f"{name} ({note.title}; {note.metrics[0]})"
    if note.held_out:
        what += f" (held out of its training rows: {'; '.join(note.held_out)})"
    noises = list(dict.fromkeys(cell.noise for cell in cells if cell.noise))
    noise = f" The same examples were also scored with noise in their texts: {join_names(noises)}." if noises else ""
    trained = cells[0].train_language if cells else ""
    if not trained and formats.get(note.format).is_trainable:
        num_fewshot = make_prompt_settings(record.study.prompt, target.prompt).num_fewshot
        fewshot = f"with {count_noun(num_fewshot, 'few-shot example')}" if num_fewshot else "zero-shot"
        return f"{what} was prompted {fewshot}, without training on it, and {scored}.{noise}"
    if not trained:
        return (
            f"{what} was {scored}, with the checkpoint of the intermediate stage.{_dev_choices(target, cells)}{noise}"
        )
    train = target.train or TargetData()
    source = train.task or target.task
    amount = f"{count_noun(train.size, 'example')} of" if train.size else "the examples of"
    where = f"each of {trained.replace('+', ', ')}" if "+" in trained else trained
    return f"{what} was trained on {amount} {source if isinstance(source, str) else join_names(source)} in {where} only and {scored}.{noise}"


def _dev_choices(target: Target, cells: list[Cell]) -> str:
    """Describe what was chosen on dev sets for a target without training."""
    sentences = ""
    if any(cell.dev_key for cell in cells):
        sentences += " The threshold of its pairs is the best one on dev pairs of the same language, as in XTREME."
    if any(cell.official_key for cell in cells):
        options = target.options
        languages = options.dev_languages or "the target's languages"
        sentences += (
            f" Its layer is the best one on dev pairs of {options.dev_task or target.task} in "
            f"{languages if isinstance(languages, str) else join_names(languages)}, without the scored language. "
            "Scores at the official layer are reported too."
        )
    return sentences


def summarize_jobs(artifacts: Sequence[Artifact]) -> dict[str, Any]:
    """Summarize jobs, time, tokens, machine and versions from the manifests."""
    kinds: Counter[str] = Counter()
    seconds = tokens = 0.0
    versions: dict[str, str] = {}
    machine: dict[str, Any] = {}
    for artifact in artifacts:
        manifest, numbers = artifact.manifest, artifact.numbers
        kinds[artifact.kind] += 1
        seconds += manifest["seconds"]
        tokens += (numbers.tokens or 0) if isinstance(numbers, DataNumbers) else 0
        versions, machine = manifest["versions"], manifest["machine"]
    return {
        "jobs": f"{sum(kinds.values())} ({', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))})",
        "seconds of work": round(seconds),
        "tokens": int(tokens),
        "machine": f"{machine.get('cpus', '?')} processors, {str(machine.get('platform', '?')).split('-')[0]}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items() if version),
    }


def _last_start_time(artifacts: Sequence[Artifact]) -> str:
    """Return the start time of the last job, '2026-01-31 12:00 UTC', so that equal stores make equal pages."""
    return format_time(max((artifact.manifest["started"] for artifact in artifacts), default=""))


def _artifacts(record: Record, store: Store) -> list[Artifact]:
    return [artifact for key in record.keys if (artifact := store.find(key))]
