"""The method section of a paper: models, intermediate tasks, targets, training, data and languages, from what ran."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from xlift.analysis.pipelines import task_info
from xlift.backbones import SHIPPED
from xlift.bibtex import Entry
from xlift.model_profiles import ModelProfile, find_profile
from xlift.report.paper.document import Block, Cite, Code, Paragraph, Piece, Section, Table, Text, joined
from xlift.report.paper.stages import (
    Chains,
    Row,
    TrainedStage,
    intermediate_stages,
    models_and_starts,
    row_of,
    target_stages,
)
from xlift.report.tables import HEADINGS, PIPELINE_KEYS
from xlift.studies.job import LABELS_NAMES, Data, PretrainSpec, noise_name
from xlift.studies.record import Record
from xlift.studies.schema.models import NamedModel
from xlift.tasks import catalog, metrics
from xlift.tasks.catalog.sizes import published_count

DIGEST_LENGTH = 16
"""Digits of a fingerprint that are shown: enough to tell models apart."""
UNKNOWN = "not known"


def method_section(
    record: Record, sentences: Mapping[str, Sequence[str]], chains: Chains, statistics: Sequence[Block]
) -> list[Section]:
    """The sections on what ran.

    Args:
        sentences: of `report.study.method_sentences`.
        statistics: the paragraphs on intervals and tests.
    """
    stages = intermediate_stages(record.cells, chains)
    first = Paragraph(
        joined(
            " ".join(sentences.get("pipelines", ())),
            " A lift is the score of a pipeline minus the score of the same pipeline without its intermediate stage: the same "
            "pretrained model, target, training data of the target, seeds and test examples. Fine-tuning on an intermediate "
            "task first is an established method ",
            Cite("phang-etal-2020-english"),
            ".",
        )
    )
    conversions = [Paragraph(sentence) for sentence in sentences.get("conversions", ())]
    parts: list[tuple[str, Sequence[Block]]] = [
        ("Models", [_models_table(record, chains), *conversions]),
        ("Intermediate stages", _intermediate(record, stages)),
        ("Targets", _targets(record, stages, chains, sentences.get("targets", ()))),
        ("Training", [Paragraph(_training(record, sentences, stages, chains))]),
        ("Statistics", statistics),
        ("Data", [_data_table(record)]),
        ("Languages", [_languages_table(record)] if record.languages else []),
    ]
    return [Section("Method", [first]), *(Section(title, blocks, 2) for title, blocks in parts if blocks)]


# --- models -----------------------------------------------------------------------------------------------------------


def model_entries(record: Record, chains: Chains) -> dict[str, Entry]:
    """An entry for each pretrained model of the study, under the key 'model-NAME'."""
    entries = {}
    for name, start in models_and_starts(record.cells, chains).items():
        if isinstance(start, PretrainSpec):
            continue
        published = _published_name(record, name)
        profile = find_profile(published)
        fields = {"title": f"{{{profile.name if profile else name}}}"}
        if profile:
            fields["author"] = f"{{{profile.name.partition('/')[0]}}}"
            fields |= {"howpublished": "Hugging Face Hub", "url": f"https://huggingface.co/{profile.name}"}
        elif published in SHIPPED:
            fields["author"] = "{The xlift authors}"
        fields["note"] = f"Pretrained model, fingerprint {start[:DIGEST_LENGTH]}" if start else "Pretrained model"
        entries[_key(name)] = Entry("misc", _key(name), fields)
    return entries


def _key(model: str) -> str:
    return "model-" + "".join(each if each.isascii() and each.isalnum() else "-" for each in model)


def _published_name(record: Record, model: str) -> str:
    """What the study calls the model of an entry: a shipped name, a folder or a Hub id."""
    for entry in record.study.models:
        if isinstance(entry, NamedModel) and model in (entry.name, entry.model):
            return entry.model
    return model


def _models_table(record: Record, chains: Chains) -> Table:
    rows = []
    for name, start in models_and_starts(record.cells, chains).items():
        published = _published_name(record, name)
        profile = find_profile(published)
        if isinstance(start, PretrainSpec):
            rows.append([Code(name), _pretraining(start), "that of its texts", "", ""])
            continue
        shown: Text = (Code(start[:DIGEST_LENGTH]),) if start else UNKNOWN
        keys = [_key(name), *([profile.citation] if profile and profile.citation else [])]
        rows.append([joined(Code(name), " ", Cite(*keys)), shown, *_published_facts(published, profile)])
    caption = "Pretrained models. The fingerprint is the start of the SHA-256 of the model's files."
    return Table(caption, ["model", "fingerprint", "licence", "parameters", "languages"], _cells(rows))


def _published_facts(name: str, profile: ModelProfile | None) -> list[str]:
    if name in SHIPPED:
        return ["Apache-2.0 (part of xlift)", "", "those of the archipelago"]
    if profile is None:
        return [UNKNOWN, "", UNKNOWN]
    languages = profile.languages
    count = "" if languages.count is None else f"{'over ' * languages.at_least}{languages.count}"
    return [profile.licence, f"{profile.parameters:,}" if profile.parameters else "", count or UNKNOWN]


def _pretraining(spec: PretrainSpec) -> str:
    shape = spec.architecture
    texts = dict.fromkeys(f"{data.task} in {data.language}" for data in spec.text)
    return (
        f"pretrained from random weights: {shape.family}, {shape.layers} layers of hidden size {shape.hidden_size}, on "
        f"{', '.join(texts)}"
    )


# --- stages -----------------------------------------------------------------------------------------------------------


def _intermediate(record: Record, stages: Mapping[Row, Sequence[TrainedStage]]) -> list[Block]:
    keys = _varying(stages)
    merged = _merged(record)
    rows = []
    for row, trained in stages.items():
        data = [part for stage in trained for part in stage.spec.parts]
        names: list[Text] = [_value(row, key) or "–" for key in keys]
        described = _describe_stages(trained) or merged.get(row.intermediate) or "none"
        if row.control == "steps":
            described = f"none; as many more steps on the target as {row.control_of} has"
        rows.append([*names, described, _examples(record, data), _steps(trained)])
    caption = "Intermediate stages, under the first seed. Examples are those of the training data, before they repeat over epochs."
    return [Table(caption, [*(HEADINGS[key] for key in keys), "trained on", "examples", "steps"], _cells(rows), 2)]


def _varying(rows: Iterable[Row]) -> list[str]:
    """The parts of a row that vary, always with the name of the intermediate."""
    found = list(rows)
    return [
        key for key in PIPELINE_KEYS if key == "intermediate" or len({_value(row, key) for row in found} - {""}) > 1
    ]


def _value(row: Row, key: str) -> str:
    return str(getattr(row, {"intermediate_language": "language"}.get(key, key)))


def _merged(record: Record) -> dict[str, str]:
    """Name of a row that merges others -> what it merges."""
    return {
        entry.name: f"merge of the models of {', '.join(entry.merge)}"
        for entry in record.study.intermediate
        if not isinstance(entry, str) and entry.merge
    }


def _describe_stages(stages: Sequence[TrainedStage]) -> str:
    described = []
    for stage in stages:
        parts = dict.fromkeys(_describe_data(data) for data in stage.spec.mixture)
        if stage.spec.mlm:
            parts[f"{stage.spec.mlm.share:.0%} text of {stage.spec.text[0].task}"] = None
        described.append(" + ".join(parts))
    return ", then ".join(described)


def _describe_data(data: Data) -> str:
    noise = f" with {noise_name(data.noise)}" if data.noise else ""
    split = f" ({data.split} split)" if data.split != "train" else ""
    return f"{data.task} in {data.language}{split}{noise}{LABELS_NAMES[data.labels]}"


def _examples(record: Record, data: Sequence[Data]) -> str:
    """The number of training examples: '3,000'; 'all' where it is known neither from the study nor from the catalogue."""
    if not data:
        return ""
    counts = [part.size or _published_size(record, part) for part in data]
    known = [count for count in counts if count is not None]
    return f"{sum(known):,}" if len(known) == len(counts) else "all"


def _published_size(record: Record, data: Data) -> int | None:
    if data.task not in catalog.names() or any(each["name"] == data.task for each in record.study.tasks):
        return None
    count = published_count(catalog.get(data.task), data.language, data.split)
    return None if count.is_assumed else count.examples


def _steps(stages: Sequence[TrainedStage]) -> str:
    steps = [stage.steps for stage in stages]
    known = [each for each in steps if each is not None]
    return f"{sum(known):,}" if known and len(known) == len(steps) else ""


def _targets(
    record: Record, stages: Mapping[Row, Sequence[TrainedStage]], chains: Chains, sentences: Sequence[str]
) -> list[Block]:
    clean = [cell for cell in record.cells if not cell.noise]
    rows = []
    for target in dict.fromkeys(cell.target for cell in clean):
        cells = [cell for cell in clean if cell.target == target]
        note, row = record.tasks[cells[0].task], row_of(cells[0])
        trained = target_stages(row, target, cells, chains, len(stages.get(row, ())))
        data = [part for stage in trained for part in stage.spec.parts]
        languages = {cell.language for cell in cells}
        zero_shot = languages - set(cells[0].train_language.split("+"))
        rows.append(
            [
                target,
                _task_text(record, cells[0].task, note.title),
                metrics.get(note.metrics[0]).title if note.metrics[0] in metrics.names() else note.metrics[0],
                _describe_stages(trained) or "not trained",
                _examples(record, data),
                _steps(trained),
                str(len(languages)),
                str(len(zero_shot)),
            ]
        )
    head = ["target", "task", "score", "trained on", "examples", "steps", "languages", "zero-shot"]
    table = Table(
        "Targets, their training data under the first seed, and the languages that are scored. Zero-shot: languages without labels "
        "in the target's training data.",
        head, _cells(rows), 4,
    )  # fmt: skip
    return [table, Paragraph(" ".join(sentences))]


def _task_text(record: Record, task: str, title: str) -> Text:
    keys = _citations(task, record)
    return joined(title, " ", Cite(*keys)) if keys else title


def _citations(task: str, record: Record) -> tuple[str, ...]:
    """The keys of a task of the catalogue that the study does not declare itself."""
    is_own = any(each["name"] == task and "format" in each for each in record.study.tasks)
    return () if is_own or task not in catalog.names() else catalog.get(task).citations


# --- training, data, languages ----------------------------------------------------------------------------------------


def _training(
    record: Record,
    sentences: Mapping[str, Sequence[str]],
    stages: Mapping[Row, Sequence[TrainedStage]],
    chains: Chains,
) -> Text:
    specs = [stage.spec for trained in stages.values() for stage in trained]
    specs += [stage.spec for cell in record.cells[:1] for stage in chains.stages(cell.key)]
    cited: list[Piece] = []
    for name, key, used in (
        ("AdamW", "loshchilov-hutter-2019-decoupled", any(spec.recipe.optimizer == "adamw" for spec in specs)),
        ("Adafactor", "shazeer-stern-2018-adafactor", any(spec.recipe.optimizer == "adafactor" for spec in specs)),
        ("LoRA", "hu-etal-2022-lora", any(spec.recipe.lora for spec in specs)),
        ("Merging", "ilharco-etal-2023-editing", bool(_merged(record))),
    ):
        if used:
            cited += [f" {name}: ", Cite(key), "."]
    prose = " ".join((*sentences.get("recipes", ()), *sentences.get("seeds", ())))
    seeds = list(dict.fromkeys(str(cell.seed) for cell in record.cells))
    return joined(prose, f" Seeds: {', '.join(seeds)}.", tuple(cited))


def _data_table(record: Record) -> Table:
    rows = []
    for task, note in record.tasks.items():
        info = task_info(task, record)
        origins = ", ".join("generated" if origin == "isles" else origin for origin in note.origins)
        rows.append([Code(task), _task_text(record, task, note.title), info.licence or UNKNOWN, origins])
    caption = "Data, with licences and origins. An origin on the Hugging Face Hub has the commit of its files."
    return Table(caption, ["name", "task", "licence", "origin"], _cells(rows))


def _languages_table(record: Record) -> Table:
    keys = [
        key for key in ("code", "name", "family", "script", "tier") if any(each.get(key) for each in record.languages)
    ]
    rows = [[each.get(key, "") for key in keys] for each in record.languages]
    caption = "Languages of the study."
    if any(each.get("tier") for each in record.languages):
        caption += " Tier: how much text of the language the pretraining of the archipelago's model has."
    return Table(caption, keys, rows)


def _cells(rows: Sequence[Sequence[Text | Piece]]) -> list[list[Text]]:
    """Rows whose cells may be single pieces."""
    return [[cell if isinstance(cell, str | tuple) else (cell,) for cell in row] for row in rows]
