"""Plan the models of a study: find existing ones, plan the pretraining of others, and set their mode."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from xlift import backbones
from xlift.conversion import has_pickled_weights, pickled_files
from xlift.errors import UserError
from xlift.model_families import Family, traits_of
from xlift.model_files import check_model_folder
from xlift.model_profiles import ModelProfile, find_profile
from xlift.model_shape import parse_config, read_model_shape
from xlift.recipes import ClassifierPooling, Engine
from xlift.studies.job import PROVISIONAL, Data, ModelRef, PretrainSpec, TrainSpec, make_job
from xlift.studies.missing import MissingModel
from xlift.studies.planning.context import ModelState, PlanContext
from xlift.studies.planning.families import FAMILY_NAMES
from xlift.studies.planning.published import find_published, missing_model
from xlift.studies.schema.engine import make_engine
from xlift.studies.schema.models import NamedModel, PretrainedModel
from xlift.studies.schema.text import PretrainText
from xlift.studies.schema.training import PromptSettingsPatch, make_recipe
from xlift.yaml_document import Keys


def start_states(context: PlanContext, only_pretrained: bool) -> list[ModelState]:
    """The models of a study at the start of their pipelines.

    Args:
        only_pretrained: leave out existing models.

    Raises:
        UserError: no such model, two with one name, or a model that cannot work in the requested mode.
    """
    starts: dict[str, ModelState] = {}
    for index, entry in enumerate(context.study.models):
        where: Keys = ("models", index)
        if isinstance(entry, PretrainedModel):
            start = _pretrained_model(context, entry, where)
        elif only_pretrained:
            continue
        else:
            entry = NamedModel(model=entry) if isinstance(entry, str) else entry
            start = _named_model(context, entry, where)
        start = replace(start, index=index, training=entry.training, engine=_engine(context, entry, where))
        start = replace(start, classifier_pooling=_classifier_pooling(context, entry, start, where))
        if start.ref.job:
            context.plan.assign(start.ref.job, start.model, start.engine)
        if start.model in starts:
            raise context.error(
                f"two models are called '{start.model}'", where,
                "rows of the table need different names: give one another name, or its folder another name.",
            )  # fmt: skip
        starts[start.model] = start
    if starts and all(start.prompt_patches is None for start in starts.values()):
        _refuse_unused_prompt(context)
    return list(starts.values())


def _named_model(context: PlanContext, entry: NamedModel, where: Keys) -> ModelState:
    published = find_published(entry.model, context.file.folder)
    if published and not context.to_run:
        return _published_model(context, entry, published, where)
    try:
        with context.resolver.at_place(*where):
            found = backbones.find(entry.model, context.file.folder, weights=context.to_run)
            family = found.family
    except UserError as error:
        if published is None:
            raise
        return _published_model(context, entry, published, where, error)
    is_folder = (context.file.folder / entry.model).is_dir() or Path(entry.model).is_dir()
    if is_folder and not context.to_run:  # those of the Hub will be fetched
        _warn_of_missing_files(context, found.folder, entry.model, where)
    fingerprint = PROVISIONAL + found.fingerprint if found.provisional else found.fingerprint
    if not is_folder and not backbones.has_weights(found.folder):
        context.plan.missing.append(MissingModel(entry.model))
    context.plan.models[fingerprint] = found.folder
    name = context.plan.names.setdefault(fingerprint, entry.name or found.name)
    if found.conversion:
        context.plan.conversions[fingerprint] = found.conversion
    name = entry.name or name
    shape = read_model_shape(found.folder)
    facts = check_model_folder(found.folder, entry.model, weights=context.to_run)
    patches = _prompt_patches(context, entry, name, family, where)
    if patches is not None and facts.tokenizer and not facts.tokenizer.has("eos_token"):
        raise context.error(
            f"text mode needs an end token, and the tokenizer of {name} has none", where,
            "name it as `eos_token` in its tokenizer_config.json.",
        )  # fmt: skip
    return ModelState(
        name, ModelRef(fingerprint=fingerprint), name, family, shape.num_layers if shape else None,
        patches, heads=found.heads, facts=facts, profile=None if is_folder else find_profile(entry.model),
        is_shipped=entry.model in backbones.SHIPPED,
    )  # fmt: skip


def _published_model(
    context: PlanContext, entry: NamedModel, published: ModelProfile, where: Keys, reason: UserError | None = None
) -> ModelState:
    """The state of a model that is not here, from its published config.

    Args:
        reason: why it could not be downloaded.
    """
    fingerprint, name = PROVISIONAL + published.name, entry.name or published.name
    shape = parse_config(published.config)
    context.plan.shapes[fingerprint] = shape
    context.plan.names.setdefault(fingerprint, name)
    context.plan.missing.append(replace(missing_model(published), reason=reason))
    patches = _prompt_patches(context, entry, name, shape.family, where)
    return ModelState(
        name, ModelRef(fingerprint=fingerprint), name, shape.family, shape.num_layers, patches, profile=published
    )  # fmt: skip


def _engine(context: PlanContext, entry: NamedModel | PretrainedModel, where: Keys) -> Engine:
    try:
        return make_engine(context.study.engine, entry.engine)
    except ValidationError as error:
        (detail,) = error.errors()
        found = detail.get("ctx", {})
        raise context.error(detail["msg"], (*where, "engine", *found.get("keys", ())), found.get("fix", "")) from None


def _classifier_pooling(
    context: PlanContext, entry: NamedModel | PretrainedModel, start: ModelState, where: Keys
) -> ClassifierPooling:
    """Raises UserError if the model's entry sets it, and the model is no decoder in head mode."""
    pooling = entry.classifier_pooling
    if pooling is None:
        return "last"
    if start.family != "decoder":
        what, fix = f"is {FAMILY_NAMES[start.family]}; the key is for decoders", "remove it."
    elif start.prompt_patches is not None:
        what, fix = "is in text mode and has no heads", "remove it, or give the model `mode: head`."
    else:
        return pooling
    raise context.error(
        f"`classifier_pooling` has no effect for {start.model}, which {what}", (*where, "classifier_pooling"), fix
    )


def refuse_unused_pooling(context: PlanContext, starts: Iterable[ModelState]) -> None:
    """Raises UserError if a model has `classifier_pooling: mean`, and no planned stage has a head that pools."""
    specs = [job.spec for job in context.plan.jobs.values()]
    if any(isinstance(spec, TrainSpec) and spec.classifier_pooling == "mean" for spec in specs):
        return
    for start in starts:
        if start.classifier_pooling == "mean":
            raise context.error(
                "`classifier_pooling: mean` has no effect: no task of the study is one where a head reads one state for a "
                "whole text", ("models", start.index, "classifier_pooling"), "remove it.",
            )  # fmt: skip


def _warn_of_missing_files(context: PlanContext, folder: Path, name: str, where: Keys) -> None:
    """Warn where a model can be estimated, and lacks files that a run needs."""
    if not backbones.has_weights(folder):
        shards = (
            [path.name for path in pickled_files(folder) if not path.is_file()] if has_pickled_weights(folder) else []
        )
        what = f"'{name}' lacks {shards[0]}" if shards else f"'{name}' has a config.json and no weights"
        context.refuse_to_run(what, where, "put the model's weights into its folder.")
        return
    try:
        check_model_folder(folder, name)
    except UserError as error:
        context.refuse_to_run(f"{error.where}: {error.what}" if error.where else error.what, where, error.fix)


def _pretrained_model(context: PlanContext, entry: PretrainedModel, where: Keys) -> ModelState:
    pretrain, where_pretrain = entry.pretrain, (*where, "pretrain")
    architecture = pretrain.architecture
    family = traits_of(architecture.family).family
    if family == "decoder" and "masking" in pretrain.model_fields_set:
        raise context.error(
            f"`masking` has no effect for {architecture.family}, a decoder, which learns to predict the next token",
            (*where_pretrain, "masking"), "remove it.",
        )  # fmt: skip
    if family != "seq2seq" and "writes" in pretrain.model_fields_set:
        raise context.error(
            f"`writes` has no effect for {architecture.family}, which is no encoder-decoder model",
            (*where_pretrain, "writes"), "remove it.",
        )  # fmt: skip
    key = _add_pretraining(context, entry, where_pretrain)
    patches = _prompt_patches(context, entry, entry.name, family, where)
    return ModelState(entry.name, ModelRef(job=key), entry.name, family, architecture.layers, patches)


def _prompt_patches(
    context: PlanContext, entry: NamedModel | PretrainedModel, name: str, family: Family, where: Keys
) -> tuple[PromptSettingsPatch, ...] | None:
    """The prompt settings of a model in text mode; None for one in head mode."""
    if family == "encoder" and entry.mode == "text":
        raise context.error(
            f"{name} is an encoder, which generates no text", (*where, "mode"),
            "leave `mode` out, so that heads predict, or take a decoder or an encoder-decoder model.",
        )  # fmt: skip
    if family != "encoder" and entry.mode != "head":
        return (entry.prompt,)
    if entry.prompt.model_fields_set:
        raise context.error(
            f"`prompt` has no effect for {name}, which is in head mode", (*where, "prompt"),
            "remove it" + ("." if family == "encoder" else ", or write `mode: text`."),
        )  # fmt: skip
    return None


def _refuse_unused_prompt(context: PlanContext) -> None:
    places: list[Keys] = [("prompt",)] if context.study.prompt.model_fields_set else []
    targets = enumerate(context.study.targets)
    places += [("targets", n, "prompt") for n, target in targets if target.prompt.model_fields_set]
    if places:
        raise context.error(
            "`prompt` has no effect: no model of the study is in text mode", places[0],
            "remove it, or name a decoder or an encoder-decoder model under `models:`.",
        )  # fmt: skip


def _add_pretraining(context: PlanContext, entry: PretrainedModel, where: Keys) -> str:
    pretrain = entry.pretrain
    spec = PretrainSpec(
        text=_text_data(context, pretrain.text, pretrain.seed, (*where, "text")),
        tokenizer_text=_text_data(context, pretrain.tokenizer_text, pretrain.seed, (*where, "tokenizer_text")),
        architecture=pretrain.architecture, tokenizer=pretrain.tokenizer, masking=pretrain.masking,
        writes=pretrain.writes, cut=pretrain.cut, recipe=make_recipe(pretrain.training),
        half_precision=pretrain.half_precision, seed=pretrain.seed,
    )  # fmt: skip
    recipe, documents = spec.recipe, sum(map(context.resolver.count_examples, spec.text))
    examples = recipe.max_steps * recipe.batch_size if recipe.max_steps else max(1, round(documents * recipe.epochs))
    return context.plan.add(make_job(spec, f"pretrain {entry.name}", examples))


def _text_data(context: PlanContext, parts: tuple[PretrainText, ...], seed: int, where: Keys) -> tuple[Data, ...]:
    resolver, texts = context.resolver, list[Data]()
    for index, part in enumerate(parts):
        here = (*where, index)
        task = resolver.find_task(part.task, (*here, "task"))
        requested, key, sizes = part.by_language()
        for place, language in enumerate(resolver.find_languages(task, requested, part.split, (*here, key))):
            texts.append(resolver.make_data(task, language, part.split, sizes(place), seed, here))
    return tuple(texts)
