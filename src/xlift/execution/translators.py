"""Translators of examples: a model, or the oracles of the archipelago. Each returns translated examples and counts dropped ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from xlift.archipelago import VERSION
from xlift.archipelago.languages import GENERATED_LANGUAGES
from xlift.archipelago.translator import (
    KINDS_WITHOUT_GRAMMAR,
    KINDS_WITHOUT_TRANSLATION,
    TranslationErrors,
    translate_exactly,
    translate_with_errors,
)
from xlift.errors import UserError
from xlift.tasks import catalog, formats, markers
from xlift.tasks.formats.change import ChangedText
from xlift.tasks.formats.translation import FORMAT as TRANSLATION
from xlift.tasks.formats.translation import TranslationExample
from xlift.tasks.metrics.on_target import is_in_language
from xlift.tasks.sources.generated import GeneratedSource
from xlift.tasks.task import Task

TOO_LONG = "longer than the model's input limit"
EMPTY_TRANSLATION = "empty translation"
WRONG_LANGUAGE = "not in the target language"
NO_FREE_MARKERS = "every kind of bracket already in the context"
MARKERS_LOST = "markers of the answer lost"
INVALID_EXAMPLE = "no longer a valid example of its format"

Texts = Callable[[Sequence[str], str, str], Sequence[str | None]]
"""(texts, source language, target language) -> translations; None for a text that is longer than the model's input limit."""


@dataclass(frozen=True)
class TranslationResult:
    """Translated examples, and the number of dropped ones."""

    kept: list[Any]
    dropped: Counter[str]
    """Reason -> number of examples."""


class Translator(Protocol):
    @property
    def name(self) -> str:
        """Name for users."""
        ...

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything that determines the translations, as JSON. Only an equal translator may resume a folder."""
        ...

    @property
    def licence(self) -> str:
        """The translator's licence, or a note that it is unknown."""
        ...

    def check(self, task: Task, source: str, targets: Sequence[str]) -> None:
        """Raise UserError if it cannot translate this task between these languages."""
        ...

    def translate(self, task: Task, examples: Sequence[Any], source: str, target: str) -> TranslationResult: ...


# --- the archipelago ------------------------------------------------------------------------------------------------


def round_share(share: float) -> float:
    """Round a share for display: a third of 0.3 is 0.1, not 0.09999999999999999."""
    return round(share, 9)


@dataclass(frozen=True)
class Oracle:
    """Expresses the same meaning in another language of the archipelago, exactly or with a known share of errors."""

    errors: TranslationErrors | None = None
    """None: exact."""
    seed: int = 0
    licence: str = "Apache-2.0 (generated)"

    @property
    def name(self) -> str:
        if self.errors is None:
            return "the archipelago's exact translator"
        shares = ", ".join(f"{name} {share:.3g}" for name, share in asdict(self.errors).items())
        return f"the archipelago's noisy translator ({shares})"

    @property
    def identity(self) -> dict[str, Any]:
        if self.errors is None:
            return {"oracle": "exact", "version": VERSION}
        shares = {name: round_share(share) for name, share in asdict(self.errors).items()}
        return {"oracle": shares, "seed": self.seed, "version": VERSION}

    def check(self, task: Task, source: str, targets: Sequence[str]) -> None:
        unknown = [code for code in (source, *targets) if code not in GENERATED_LANGUAGES]
        kind = task.source.example if isinstance(task.source, GeneratedSource) else None
        if kind is None or unknown:
            what = (
                f"'{unknown[0]}' is not one of its languages" if unknown else f"'{task.name}' is not one of its tasks"
            )
            raise UserError(
                f"an oracle translates only the archipelago's examples: {what}",
                fix="Take an isle-* task and languages of the archipelago, or a model with --model.",
            )
        if (
            kind in KINDS_WITHOUT_TRANSLATION
            or (self.errors and kind in KINDS_WITHOUT_GRAMMAR)
            or formats.get(task.format).has_direction
        ):
            raise UserError(
                f"--oracle cannot translate the examples of '{task.name}'", fix="It translates labelled isle-* tasks."
            )

    def translate(self, task: Task, examples: Sequence[Any], source: str, target: str) -> TranslationResult:
        assert isinstance(task.source, GeneratedSource)
        kind, make = task.source.example, formats.get(task.format).example_class
        rows = [
            translate_with_errors(kind, example.id, source, target, self.errors, self.seed)
            if self.errors
            else translate_exactly(kind, example.id, target)
            for example in examples
        ]
        return TranslationResult([make(**row) for row in rows], Counter())


# --- models ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ModelTranslator:
    """Translates every text of an example separately. Markers around the answer of a question keep track of its position."""

    name: str
    identity: Mapping[str, Any]
    licence: str
    texts: Texts

    def check(self, task: Task, source: str, targets: Sequence[str]) -> None:
        if why := formats.get(task.format).not_translatable:
            raise UserError(
                f"'{task.name}' cannot be translated text by text: {why}", fix="Translate a task of another format."
            )
        if source in targets:
            raise UserError(f"'{source}' is the source language", where="--target-languages", fix="Leave it out.")

    def translate(self, task: Task, examples: Sequence[Any], source: str, target: str) -> TranslationResult:
        """Translate the examples. The model translates each distinct text once."""
        format, dropped = formats.get(task.format), Counter[str]()
        inputs: list[tuple[Any, dict[str, str]]] = []
        for example in examples:
            try:
                inputs.append(_collect_texts(example, format))
            except _DropExample as reason:
                dropped[str(reason)] += 1
        texts = list(dict.fromkeys(text for _, marked_texts in inputs for text in marked_texts.values()))
        translations = dict(zip(texts, self.texts(texts, source, target), strict=True)) if texts else {}
        kept: list[Any] = []
        for example, marked_texts in inputs:
            try:
                kept.append(_apply_translations(example, format, task, marked_texts, translations, target))
            except _DropExample as reason:
                dropped[str(reason)] += 1
        return TranslationResult(kept, dropped)


class _DropExample(Exception):
    """Its message is the reason for dropping an example."""


def _collect_texts(example: Any, format: formats.Format) -> tuple[Any, dict[str, str]]:
    """Return the example with its first answer only, and text -> the same text with markers as the model reads it."""
    if getattr(example, "answers", ()):
        example = replace(example, answers=example.answers[:1], starts=example.starts[:1])
    marked_texts: dict[str, str] = {}

    def record(text: str) -> ChangedText:
        marked_texts[text] = text
        return ChangedText(text, tuple(range(len(text) + 1)))

    format.change_texts(example, record)
    if getattr(example, "answers", ()):
        start, answer = example.starts[0], example.answers[0]
        marked = markers.add_markers(example.context, start, start + len(answer))
        if marked is None:
            raise _DropExample(NO_FREE_MARKERS)
        marked_texts[example.context] = marked
    return example, marked_texts


def _apply_translations(
    example: Any,
    format: formats.Format,
    task: Task,
    marked_texts: Mapping[str, str],
    translations: Mapping[str, str | None],
    target: str,
) -> Any:
    """Return the example with its translated texts. Raises _DropExample if that gives no valid example."""
    translated = {text: translations[marked] for text, marked in marked_texts.items()}
    if any(text is None for text in translated.values()):
        raise _DropExample(TOO_LONG)
    if not all((text or "").strip() for text in translated.values()):
        raise _DropExample(EMPTY_TRANSLATION)
    if not is_in_language(" ".join(filter(None, translated.values())), target):
        raise _DropExample(WRONG_LANGUAGE)

    def change(text: str) -> ChangedText:
        new, marked = translated[text] or "", marked_texts[text]
        if marked == text:
            return ChangedText(new, (0,) * len(text) + (len(new),))
        found = markers.remove_markers(text, new)
        if found is None:
            raise _DropExample(MARKERS_LOST)
        start, end = example.starts[0], example.starts[0] + len(example.answers[0])
        places = (0,) * start + (found.start,) * (end - start) + (found.end,) * (len(text) - end)
        return ChangedText(found.text, (*places, len(found.text)) if end < len(text) else (*places, found.end))

    changed = format.change_texts(example, change)
    is_answer_lost = getattr(example, "answers", ()) and not changed.answers
    if is_answer_lost or format.check(changed, task.labels) is not None:
        raise _DropExample(INVALID_EXAMPLE)
    return changed


def load_model_translator(
    name: str, *, num_beams: int = 1, device: str = "auto", progress: Callable[[int, int], None] | None = None
) -> ModelTranslator:
    """Return a translator for a generative model. The model is loaded before the first translation.

    Args:
        name: a folder or a Hub name, as in a study's `models:`.
        progress: called with (texts done, texts in total) during each call of the model.

    Raises:
        UserError: there is no such model, or it is an encoder.
    """
    from xlift import backbones

    found = backbones.find(name)
    if found.family == "encoder":
        raise UserError(
            f"'{name}' is an encoder and cannot generate text",
            fix="Use a seq2seq model (NLLB, mBART, mT5) or a decoder.",
        )
    loaded: list[tuple[Any, Any]] = []

    def texts(inputs: Sequence[str], source: str, target: str) -> Sequence[str | None]:
        if not loaded:
            loaded.append(_load(found.folder, device))
        return _translate_texts(*loaded[0], inputs, source, target, num_beams, progress)

    identity = {"model": found.fingerprint, "num_beams": num_beams}
    return ModelTranslator(
        f"{found.name}, num_beams {num_beams}", identity, _licence(found.source or found.folder), texts
    )


def _load(folder: Any, device: str) -> tuple[Any, Any]:
    from xlift.models.backbone import load
    from xlift.training.devices import select_device

    model, tokenizer = load(folder)
    return model.to(select_device(device)), tokenizer  # type: ignore[arg-type]


def _translate_texts(
    model: Any, tokenizer: Any, texts: Sequence[str], source: str, target: str, num_beams: int,
    progress: Callable[[int, int], None] | None,
) -> list[str | None]:  # fmt: skip
    from xlift.evaluation.text_predictions import predict_texts
    from xlift.recipes import PromptSettings
    from xlift.tasks.prompts import find_template
    from xlift.tasks.prompts.tokenization import adapt_template, text_features
    from xlift.training.progress import Progress

    prompt_settings = PromptSettings(num_beams=num_beams)
    task = catalog.get("isle-to-pivot" if source in GENERATED_LANGUAGES else "parallel-to-en")
    template = adapt_template(find_template(task, prompt_settings, source), tokenizer)
    examples = [TranslationExample(str(n), text, None, source, target) for n, text in enumerate(texts)]
    prompts = [TRANSLATION.prompt(example, (), template) for example in examples]
    longest = min(limit for limit in (model.max_length, tokenizer.model_max_length, 1024) if limit)
    features = text_features(prompts, tokenizer, model.family, max_length=longest, train=False)
    generation_progress = Progress(report=progress) if progress else None
    (outputs,) = predict_texts(model, tokenizer, [features], prompt_settings, progress=generation_progress)
    return [
        None if is_shortened else TRANSLATION.parse(output, example, (), template)
        for output, example, is_shortened in zip(outputs, examples, features.extra["shortened"], strict=True)
    ]


def _licence(folder: Any) -> str:
    """Return the licence that the model card in the folder declares."""
    card = folder / "README.md"
    lines = card.read_text(encoding="utf-8", errors="replace").splitlines()[:200] if card.is_file() else []
    if lines[:1] == ["---"]:
        for line in lines[1:]:
            if line.startswith("license:"):
                return line.removeprefix("license:").strip().strip("\"'")
            if line == "---":
                break
    return "not declared in its folder; look it up before you publish translations"
