"""Tokens per example, from a small sample that the code of the task's format tokenizes with the tokenizer of the model.

So rows are built by the same rules as in a run: truncation, windows over a long context, one row per choice. If there
is no tokenizer yet (a model that the study pretrains) or it cannot be read, tokens are estimated from the number of
characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.model_families import Family
from xlift.model_files import read_tokenizer
from xlift.recipes import PromptSettings
from xlift.studies.job import Data, TextMode
from xlift.tasks import formats
from xlift.tasks.catalog.sizes import typical_example
from xlift.tasks.formats.features import Prompt
from xlift.tasks.task import Task

SAMPLE = 64
GENERATED = 24
"""Examples of a sample of generated data. They are similar, and slower to generate than others are to read."""
SAMPLE_RANGE = 1024
"""The sample is spread over this many examples from the start: a file may begin with its short ones."""
CHARACTERS_PER_TOKEN = 4.0
"""In alphabetic scripts."""
DENSE = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
DENSE_CHARACTERS_PER_TOKEN = 1.5
"""In syllabic scripts and scripts without spaces: Thai, Lao, Burmese, Khmer, Japanese, Chinese, Korean."""
SPECIAL_TOKENS = 3
"""Special tokens per row, for the estimate from characters."""


@dataclass(frozen=True)
class SampleStats:
    """Means per example over the rows of a sample."""

    tokens: float
    """In all rows of an example."""
    rows: float
    units: float
    """What a batch counts, such as windows."""
    num_distinct_tokens: int = 0
    """Distinct tokens in the whole sample; 0 if they were not counted."""
    num_sampled_tokens: int = 0
    """Tokens in the whole sample."""
    decoder_tokens: float = 0.0
    """Tokens in the decoder of an encoder-decoder model."""
    lm_head_tokens: float = 0.0
    """Tokens scored against the whole vocabulary."""
    generated_tokens: float = 0.0
    """Tokens generated one after the other."""

    @property
    def row_length(self) -> float:
        """Tokens per row."""
        return self.tokens / max(self.rows, 1e-9)


class Sampler:
    """Takes samples of data, each of them once.

    Args:
        tasks: the tasks of the plan, by name.
        data: root folder of data files.
        missing: (task, language, split) of the data that is not here, whose examples are typical ones.
    """

    def __init__(
        self, tasks: dict[str, Task], data: Path | None, missing: Container[tuple[str, str, str]] = ()
    ) -> None:
        self.tasks, self.data, self.missing = tasks, data, missing
        self._stats: dict[tuple[Any, ...], SampleStats] = {}
        self._samples: dict[tuple[Any, ...], list[Any]] = {}

    def sample(self, data: Data, tokenizer: Path | None, max_length: int | None) -> SampleStats:
        """
        Args:
            tokenizer: folder of the model; None to estimate from characters.
            max_length: tokens per row; None for what the task declares.
        """
        task = self.tasks[data.task]
        length = max_length or task.max_length
        key = (data.task, data.language, data.split, tokenizer, length)
        if key not in self._stats:
            examples = self._examples(task, data)
            loaded = _load_tokenizer(tokenizer) if tokenizer else None
            stats = _count_tokens(task, examples, loaded, length, data.split == "train") if loaded else None
            if stats and (data.task, data.language, data.split) in self.missing:
                stats = replace(stats, num_distinct_tokens=0)  # an invented text tells nothing about them
            self._stats[key] = stats or _count_characters(task, examples, length)
        return self._stats[key]

    def sample_text_mode(
        self, data: Data, tokenizer: Path | None, max_length: int | None, mode: TextMode, family: Family, *, train: bool
    ) -> SampleStats:
        """As `sample`, for examples in text mode.

        Args:
            train: whether answers are trained on; otherwise they are chosen or generated.
        """
        task = self.tasks[data.task]
        length, settings = max_length or task.max_length, mode.prompt
        key = (data.task, data.language, data.split, tokenizer, length, settings, family, train)
        if key not in self._stats:
            examples = self._examples(task, data)
            prompts = _make_prompts(task, examples, settings, data.language)
            self._stats[key] = _count_prompts(prompts, _token_counter(tokenizer), settings, family, length, train=train)
        return self._stats[key]

    def _examples(self, task: Task, data: Data) -> list[Any]:
        key = (data.task, data.language, data.split)
        if key in self.missing:
            return [typical_example(task)]
        if key not in self._samples:
            stream = task.source.read(task, data.language, data.split, self.data)
            first = list(islice(stream, SAMPLE_RANGE if task.source.kind != "isles" else GENERATED))
            self._samples[key] = first[:: max(1, len(first) // SAMPLE)][:SAMPLE]
        return self._samples[key]


class LightTokenizer:
    """The part of a fast tokenizer of transformers that the formats use, loaded from tokenizer.json. Importing
    transformers takes seconds."""

    is_fast = True

    def __init__(self, folder: Path) -> None:
        self.name_or_path = str(folder)
        self.backend_tokenizer = read_tokenizer(folder)
        self.model_input_names = ("input_ids", "attention_mask")
        self.split_special_tokens, self.truncation_side = False, "right"
        unknown = (self.backend_tokenizer.token_to_id(token) for token in ("<unk>", "[UNK]"))
        self.unk_token_id = next((token_id for token_id in unknown if token_id is not None), 0)

    def __call__(self, texts: Sequence[str], seconds: Sequence[str] | None = None, **_: Any) -> _Encoded:
        """Whole rows with special tokens; the formats use them to find the positions of the special tokens."""
        both = list(texts) if seconds is None else list(zip(texts, seconds, strict=True))
        return _Encoded(self.backend_tokenizer.encode_batch(both))


class _Encoded:
    def __init__(self, encodings: list[Any]) -> None:
        self.encodings = encodings

    def __getitem__(self, name: str) -> list[list[int]]:
        return [encoding.ids if name == "input_ids" else encoding.type_ids for encoding in self.encodings]

    def sequence_ids(self, row: int) -> list[int | None]:
        return self.encodings[row].sequence_ids


@lru_cache(maxsize=8)
def _load_tokenizer(folder: Path) -> LightTokenizer | None:
    try:
        return LightTokenizer(folder)
    except UserError:
        return None


def _count_tokens(
    task: Task, examples: Sequence[Any], tokenizer: LightTokenizer, max_length: int, train: bool
) -> SampleStats | None:
    format = formats.get(task.format)
    options = {key: task.options[key] for key in format.feature_options if key in task.options}
    try:
        features = format.features(examples, tokenizer, task.labels, max_length=max_length, train=train, **options)
        rows = [list(row) for row in features.input_ids]
    except (UserError, KeyError, TypeError, ValueError):
        return None  # the job reports what is wrong with the data
    if not rows or not examples:
        return None
    tokens = sum(map(len, rows))
    units = int(features.unit[-1]) + 1
    count = len(examples)
    return SampleStats(
        tokens / count, len(rows) / count, units / count, len({token for row in rows for token in row}), tokens
    )


def _count_characters(task: Task, examples: Sequence[Any], max_length: int) -> SampleStats:
    format = formats.get(task.format)
    rows, tokens = 0, 0.0
    for example in examples:
        row_texts = format.row_texts(example)
        count = len(row_texts)
        text_tokens = sum(_guess_tokens(text) for texts in row_texts for text in texts)
        if format.long_texts == "windows":
            count = max(1, -(-int(text_tokens) // max(8, max_length // 2)))
        rows += count
        tokens += min(text_tokens + SPECIAL_TOKENS * count, float(count * max_length))
    count = max(1, len(examples))
    windows = rows / count if format.long_texts == "windows" else 1.0
    return SampleStats(tokens / count, rows / count, max(1.0, windows))


def _guess_tokens(text: str) -> float:
    dense = len(DENSE.findall(text))
    return dense / DENSE_CHARACTERS_PER_TOKEN + (len(text) - dense) / CHARACTERS_PER_TOKEN


# --- text mode --------------------------------------------------------------------------------------------------------


def _make_prompts(task: Task, examples: Sequence[Any], settings: PromptSettings, language: str) -> list[Prompt]:
    """Prompts without few-shot examples."""
    from xlift.tasks.prompts import find_template

    try:
        template, format = find_template(task, settings, language), formats.get(task.format)
        return [format.prompt(example, task.labels, template) for example in examples]
    except UserError:
        return []  # the plan or the job reports what is wrong


def _token_counter(tokenizer: Path | None) -> Callable[[str], float]:
    """A function that counts the tokens of a text, special ones included."""
    loaded = _load_tokenizer(tokenizer) if tokenizer else None
    if loaded is None:
        return lambda text: _guess_tokens(text) + 1
    return lambda text: float(len(loaded.backend_tokenizer.encode(text).ids))


def _count_prompts(
    prompts: list[Prompt],
    count: Callable[[str], float],
    settings: PromptSettings,
    family: Family,
    max_length: int,
    *,
    train: bool,
) -> SampleStats:
    """Few-shot examples are assumed to be as long as the example that they precede."""
    source_tokens = answer_tokens = candidate_tokens = generated_tokens = 0.0
    for prompt in prompts:
        contexts = prompt.contexts if prompt.contexts and not train else (prompt.source,)
        source, answer = sum(map(count, contexts)), count(prompt.answer or "")
        room = max(1.0, max_length - answer) if family == "decoder" and train else max_length
        source_tokens += min(source + settings.num_fewshot * (source + answer), room)
        answer_tokens += answer
        if prompt.candidates:
            candidate_tokens += sum(map(count, prompt.candidates))
        else:  # assumed to be as long as the gold answer
            limit = settings.max_new_tokens or prompt.max_new_tokens
            generated_tokens += min(answer, limit) * (1 if train else settings.num_beams)
    n = max(1, len(prompts))
    lm_head_tokens = answer_tokens / n if train else candidate_tokens / n + generated_tokens / n
    is_decoder = family == "decoder"
    return SampleStats(
        source_tokens / n + (lm_head_tokens if is_decoder else 0.0), 1.0, 1.0,
        decoder_tokens=0.0 if is_decoder else lm_head_tokens, lm_head_tokens=lm_head_tokens,
        generated_tokens=0.0 if train else generated_tokens / n,
    )  # fmt: skip
