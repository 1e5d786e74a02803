"""The base class of formats. A format is one shape of supervision, such as classification or span QA.

Code outside of the formats never asks for a format's name: it asks for a trait. Every format file has the same order:
example, traits, features, decode, prompt and parse, change of texts. Formats use NumPy and do not import torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Literal, NamedTuple

import numpy as np

from xlift.errors import UserError
from xlift.tasks.formats.change import Change
from xlift.tasks.formats.features import Features, Prompt
from xlift.tasks.formats.template import Template

WHERE = 'where = "path/to/this/folder"  # or its name on the Hub\n'
"""Line of `Format.usage` with the place of the model."""
NUM_COMMON_ANSWERS = 3
"""How many of the most frequent gold answers are tried as a constant answer."""

_BLANK = "".join(map(chr, (*range(9, 14), *range(28, 33), 0x85, 0xA0, 0xAD, 0x1680, *range(0x2000, 0x2010), 0x2028, 0x2029,
                           0x202F, 0x205F, 0x2060, 0x3000, 0xFEFF)))  # fmt: skip
"""White space and invisible characters."""


ScoreKind = Literal["", "probability", "logit", "similarity", "log-likelihood", "log-likelihood per token"]
"""What the scores of predictions are; '' for none."""
Scores = Sequence[float] | np.ndarray | None
"""The numbers by which one prediction was decided; None if there are none."""


class ScoredAnswer(NamedTuple):
    """A prediction with the score that `xlift predict` writes. Scores are not calibrated."""

    answer: Any
    """The prediction, as `decode` returns it."""
    score: float | None
    """Probability of the answer; None if there is none."""
    word_scores: tuple[float, ...] = ()
    """Of a format that tags words."""
    probabilities: tuple[float, ...] = ()
    """Of each label, if the format has `has_label_probabilities`."""


class Format(ABC):
    """One shape of supervision. A format sets what differs from the values here."""

    name: str
    output_kind: str
    """Kind of output of the head (models/outputs.py): 'pooled' has no head, 'text' is text mode only."""
    example_class: type
    """The frozen dataclass of one example; its first field is `id: str`."""

    revision = 0
    """Incremented whenever the format makes other features of the same examples, or reads other answers from the same
    outputs. In the keys of jobs with examples from files."""
    columns: Mapping[str, tuple[str, ...]] = {}
    """Field of a record -> usual names of its column, the first that is there (tasks/sources/readers/fields.py)."""
    optional_texts: tuple[str, ...] = ()
    """Fields that a record may lack, which are then empty in the example."""
    prediction_fields: tuple[str, ...] = ()
    """Fields of `columns` that only `xlift predict` reads."""
    input_fields: tuple[str, ...] = ()
    """Fields that `xlift predict` reads; empty if it cannot predict the format."""
    input_files: tuple[str, ...] = ()
    """Extensions of files without columns that it reads."""
    sample_file = "texts.tsv"
    """Name of an input file, for the card of an exported model."""
    pipeline_tag = ""
    """`pipeline_tag` of the Hub for an exported model; empty if none fits."""
    score_kind: ScoreKind = ""
    """What the scores of `decode_with_scores` are; empty if there are none."""
    has_probabilities = False
    """Whether scores of predictions are a softmax over logits."""
    has_label_probabilities = False
    """Whether each label of the task has a probability in every prediction."""
    exported_max_length = 128
    """Tokens of a row where a model without `xlift.json` does not say them."""

    default_metrics: tuple[str, ...] = ()
    """Metrics of a custom task that names none; tables show the first. Each metric names the formats that it can score."""
    has_classes = False
    """Whether the answers are labels of the task, which must then be known before training."""
    optional_labels: tuple[str, ...] = ()
    """Labels that a task without classes may declare."""
    is_trainable = True
    """False: predictions compare hidden states, so nothing is trained and targets have options (layer, pooling)."""
    is_plain_text = False
    """Whether examples are text for masked language modelling, without gold answer and score."""
    pools_row = False
    """Whether a head reads one state for a whole text, and gives logits (`OutputKind.pools_row`)."""
    has_head = True
    """False: only text mode predicts the answers."""
    has_direction = False
    """Whether examples have a source and a target language."""
    ranks_pool = False
    """Whether queries are ranked against a pool: the other rows of the step in training, and in dev and test the
    candidates of all languages. One language cannot be scored or translated without the others."""
    one_language_per_pass = False
    """Whether each language is predicted in a pass of its own through the model."""
    tags_words = False
    """Whether the answer is one label for each word of `example.words`."""
    has_fixed_answers = False
    """Whether gold answers are fixed values, not words of a language. The translations of an example have the same one,
    and a test file with the same one in all rows has placeholders."""
    long_texts: Literal["truncated", "split", "windows"] = "truncated"
    """What happens to a text that is longer than a row: it loses its end, its words are divided among several rows, or
    several rows are overlapping windows of it."""
    feature_options: tuple[str, ...] = ()
    """Options of a task that `features` takes."""
    decode_options: Mapping[str, Any] = {}
    """Options of a task that `decode` takes, with their defaults."""
    usual_answer = ""
    """A counted answer (`counted_answers`) that all examples may share; a file with any other one alone is odd."""
    candidates = ""
    """What the candidate answers of a prompt are ('label texts'); empty if answers are generated."""
    no_text_mode = ""
    """Why examples have no prompt; empty if they have one."""
    not_translatable = ""
    """Why a model cannot translate the examples text by text; empty if it can."""
    label_fields: tuple[str, ...] = ()
    """Fields of the gold answer. `shuffle_labels` exchanges them among examples, unless a format does it in another way."""

    @abstractmethod
    def check(self, example: Any, labels: Sequence[str]) -> str | None:
        """The problem with an example ("unknown label 'maybe' (expected ...)"), or None."""

    @abstractmethod
    def texts(self, example: Any) -> tuple[str, ...]:
        """The natural-language strings of an example (for vocabularies, contamination checks, MLM)."""

    @abstractmethod
    def read_record(self, fields: Any, name: str, *, with_gold: bool = True) -> Any:
        """An example from a record with named columns.

        Args:
            fields: of the record (sources/readers/fields.py: Fields).
            name: id of the example.
            with_gold: False to leave the gold answer out, for `xlift predict`.

        Raises:
            UserError: the record lacks a field, or a value is of the wrong kind.
        """

    def check_input(self, example: Any) -> str | None:
        """The problem with an example without gold answer, or None."""
        return self.check(example, ())

    def row_texts(self, example: Any) -> list[tuple[str, ...]]:
        """The texts of each row that goes through the model, if none is too long."""
        return [self.texts(example)]

    def example_labels(self, example: Any) -> tuple[str, ...]:
        """The labels of the task that an example has as its gold answer."""
        return ()

    def counted_answers(self, example: Any) -> Sequence[str]:
        """What `xlift plan` counts in the files of a custom task: the labels, unless a format counts something else."""
        return self.example_labels(example)

    def has_empty_text(self, example: Any) -> bool:
        """Whether a text has no visible character where the format expects one."""
        return any(not text.strip(_BLANK) for text in self.texts(example))

    def is_candidate(self, example: Any) -> bool:
        """Whether an example is only a candidate of a pool and has no answer of its own."""
        return False

    def unit_text(self, example: Any) -> str:
        """The text that related examples share: the paragraph of several questions, the premise of several hypotheses.
        '' if the example has none. Such examples are not independent."""
        return ""

    def fixed_offsets(self, example: Any) -> Mapping[str, Collection[int]]:
        """Text -> character offsets that no change of the text may cross (ends of answers)."""
        return {}

    def constant_predictions(self, examples: Sequence[Any]) -> list[list[Any]]:
        """Answers that ignore the input, each as one prediction per example: the most frequent gold answers."""
        answers = Counter(gold for example in examples if (gold := self.gold(example)) is not None)
        return [[answer] * len(examples) for answer, _ in answers.most_common(NUM_COMMON_ANSWERS)]

    def constant_score(self, examples: Sequence[Any], score: Callable[[list[Any]], float]) -> float:
        """The best score of a model that has learned nothing.

        Args:
            score: one prediction per example -> their score.
        """
        return max(map(score, self.constant_predictions(examples)), default=0.0)

    def loss_bound(self, examples: Sequence[Any], row_lengths: np.ndarray | None = None) -> float | None:
        """Loss of a model that has learned only how frequent the gold answers are (in nats for cross entropy), by which
        a collapse is detected; None if there is no such bound.

        Args:
            row_lengths: (rows,) tokens of each row.
        """
        return None

    @abstractmethod
    def features(
        self, examples: Sequence[Any], tokenizer: Any, labels: Sequence[str], *, max_length: int, train: bool
    ) -> Features:
        """Rows for the encoder, at most `max_length` tokens each; `targets` are set where gold is known."""

    def decode(self, examples: Sequence[Any], features: Features, outputs: Any, labels: Sequence[str]) -> list[Any]:
        """One JSON-serialisable prediction per example, from one reduced output per row (a list or an array).

        `outputs[i]` by kind: sequence: int arg-max, ties to the first; token: (tokens,) of these;
        span: (2, tokens) float start and end scores; choice: float score; number: float; labels: (labels,) 1 if chosen;
        dual and pooled: (dimension,) float vector.
        """
        raise TypeError(f"the format {self.name} has nothing to decode")

    def decode_with_scores(
        self,
        examples: Sequence[Any],
        features: Features,
        outputs: Any,
        row_scores: Sequence[np.ndarray] | None,
        labels: Sequence[str],
        **options: Any,
    ) -> tuple[list[Any], list[Scores]]:
        """The predictions of `decode`, and for each the scores by which it was decided (None without any).

        Args:
            row_scores: for each row the scores that its output has lost: sequence: (labels,) probabilities; token:
                (tokens,) probability of the chosen label; labels: (labels,) probabilities. None for other kinds.
            options: `decode_options`.
        """
        return self.decode(examples, features, outputs, labels, **options), [None] * len(examples)

    def decode_logits(
        self, examples: Sequence[Any], features: Features, logits: list[Any], labels: Sequence[str]
    ) -> list[ScoredAnswer]:
        """One prediction with its score per example, from the logits of each row (shapes: models/outputs.py) without
        padding."""
        raise TypeError(f"the format {self.name} has nothing to decode")

    def apply_threshold(self, scored: ScoredAnswer, threshold: float, below: str, labels: Sequence[str]) -> Any:
        """The answer of a prediction if its score is at least `threshold`, else `below`."""
        return scored.answer if scored.score is not None and scored.score >= threshold else below

    def usage(self, metadata: Any, model_class: str) -> tuple[str, str]:
        """Python code that uses an exported model without xlift, and sentences about it in Markdown.

        Args:
            metadata: content of its `xlift.json` (models/export: ExportMetadata).
            model_class: class of transformers that loads the model.
        """
        raise TypeError(f"the format {self.name} has no model to use")

    def gold(self, example: Any) -> Any:
        """The gold answer as a JSON-serialisable value, in the shape that `decode` returns and the metrics read."""
        raise TypeError(f"the format {self.name} has no gold answer")

    def fewshot_group(self, example: Any) -> Any:
        """Few-shot examples are drawn equally from each group: by label, or by whether there is an answer."""
        gold = self.gold(example)
        return gold if isinstance(gold, (str, int)) else bool(gold)

    def answer_cell(self, answer: Any) -> str:
        """A prediction as one cell of a table."""
        return " ".join(answer) if isinstance(answer, list) else str(answer)

    def prompt(self, example: Any, labels: Sequence[str], template: Template) -> Prompt:
        """The example as text.

        Raises:
            UserError: the format has no text mode, or the template uses a field that the format does not have.
        """
        raise UserError(
            f"`mode: text` is not possible: {self.no_text_mode}",
            where=f"format '{self.name}'",
            fix="remove such targets from the study of this model, or set `mode: head`.",
        )

    def parse(self, answer: int | str, example: Any, labels: Sequence[str], template: Template) -> Any:
        """The prediction, as `decode` returns it, from the index of the chosen candidate or from any generated text."""
        raise TypeError(f"the format {self.name} has no text mode")

    @abstractmethod
    def change_texts(self, example: Any, change: Change) -> Any:
        """The example with changed texts (noise, translation); its spans and tags follow."""

    def shuffle_labels(self, examples: Sequence[Any], rng: Random) -> list[Any]:
        """The same examples in the same order with gold answers that say nothing about their texts (`controls: shuffled`).
        The answers are exchanged at random among all examples of a `shuffle_group` that have one, so each is as frequent as
        before.

        Raises:
            TypeError: the examples have no gold answer.
        """
        if not self.label_fields:
            raise TypeError(f"the format {self.name} has no labels to shuffle")
        places: dict[Hashable, list[int]] = {}
        for place, example in enumerate(examples):
            if any(getattr(example, field) is not None for field in self.label_fields):
                places.setdefault(self.shuffle_group(example), []).append(place)
        result = list(examples)
        for group in places.values():
            for place, source in zip(group, rng.sample(group, len(group)), strict=True):
                answer = {field: getattr(examples[source], field) for field in self.label_fields}
                result[place] = replace(examples[place], **answer)
        return result

    def shuffle_group(self, example: Any) -> Hashable:
        """Examples with the same value exchange their gold answers."""
        return None


def load_code(model_class: str) -> str:
    """The first lines of `usage`: load the model and its tokenizer."""
    return (
        f"import torch\nfrom transformers import {model_class}, AutoTokenizer\n\n"
        f"{WHERE}model, tokenizer = {model_class}.from_pretrained(where), AutoTokenizer.from_pretrained(where)\n"
    )


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis, in float64."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def entropy(answers: Iterable[Any]) -> float:
    """Entropy of the frequencies of some answers, in nats."""
    counts = Counter(answers)
    shares = np.array(list(counts.values())) / counts.total()
    return float(-(shares * np.log(shares)).sum())
