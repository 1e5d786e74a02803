"""Tagging: one tag per word. Parts of speech, named entities, supertags.

The tag of a word is learnt and predicted on its first sub-word. A sentence longer than `max_length` is split between
words into several rows, and its predictions are joined again, as XTREME does, so no word is lost. (jiant truncates
instead and loses the remaining words.)

In text mode a sentence is one row: "0: Rome 1: fell" -> "0: B-LOC 1: O". This is the sentinel scheme of Raman et al.
2022 (2203.08378, "Sentinel + Tag"), with numbers where they use `<extra_id_0>`; tokenizers with sentinel tokens get
those. If the answer has no valid tag for a word, because the model wrote none or the row was full, the tag is 'O' if
there is such a label, else 'X' (UD's "other"), else the first label.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from sys import intern
from typing import Any

import numpy as np

from xlift.errors import UserError
from xlift.tasks.formats import encoding
from xlift.tasks.formats.base import NUM_COMMON_ANSWERS, Format, ScoredAnswer, Scores, entropy, load_code, softmax
from xlift.tasks.formats.change import Change
from xlift.tasks.formats.features import IGNORE_INDEX, Features, Prompt
from xlift.tasks.formats.ragged import RaggedBuilder
from xlift.tasks.formats.template import Template
from xlift.tasks.grapheme_clusters import normalize

ENTITY_DELIMITER = "$$"
"""Between the entities of the scheme 'spans', as in mT5 (multilingual_t5/preprocessors.py, `wikiann`)."""
MAX_CONSTRAINED_LABELS = 64
"""Most labels for constrained decoding of tags; CCG's hundreds of categories would take too long."""


@dataclass(frozen=True)
class TaggingExample:
    id: str
    words: tuple[str, ...]
    tags: tuple[str, ...] | None = None


class Tagging(Format):
    name = "tagging"
    output_kind = "token"
    example_class = TaggingExample
    columns = {
        "words": ("words", "tokens"),
        "tags": ("tags", "ner_tags", "pos_tags"),
        "text": ("text", "sentence", "source"),
    }
    prediction_fields = ("text",)
    input_fields = ("words", "text")
    input_files = (".txt", ".conll", ".conllu")
    sample_file = "words.conll"
    pipeline_tag = "token-classification"
    has_probabilities = True
    default_metrics = ("tag-accuracy",)
    has_classes = True
    tags_words = True
    score_kind = "probability"
    long_texts = "split"
    not_translatable = "a translation has other words than its source, so its tags are unknown"

    def check(self, example: TaggingExample, labels: Sequence[str]) -> str | None:
        if not example.words:
            return "a sentence without words"
        for i, word in enumerate(example.words):
            if not word.strip(" \t\r\n"):  # a no-break space is a word of published files
                return f"word {i + 1} is empty"
        if example.tags is None:
            return None
        if len(example.tags) != len(example.words):
            return f"{len(example.words)} words but {len(example.tags)} tags"
        for i, tag in enumerate(example.tags):
            if labels and tag not in labels:  # CCGbank declares no labels: its files define them
                return f"unknown label '{tag}' on word {i + 1} (expected one of: {', '.join(labels)})"
        return None

    def texts(self, example: TaggingExample) -> tuple[str, ...]:
        return (" ".join(example.words),)

    def read_record(self, fields: Any, name: str, *, with_gold: bool = True) -> TaggingExample:
        """The words are a list; without gold also a text with blanks between them, then in either column."""
        if with_gold:
            tags = tuple(intern(tag) for tag in fields.texts("tags"))
            return TaggingExample(name, fields.texts("words"), tags)
        column = fields.column("words")
        if column is not None and isinstance(fields.record.get(column), list):
            return TaggingExample(name, fields.texts("words"))
        return TaggingExample(name, split_words(fields.text("text" if column is None else "words")))

    def example_labels(self, example: TaggingExample) -> tuple[str, ...]:
        return example.tags or ()

    def constant_predictions(self, examples: Sequence[TaggingExample]) -> list[list[Any]]:
        tags = Counter(tag for e in examples for tag in e.tags or ())
        return [[[tag] * len(e.tags or ()) for e in examples] for tag, _ in tags.most_common(NUM_COMMON_ANSWERS)]

    def loss_bound(self, examples: Sequence[TaggingExample], row_lengths: np.ndarray | None = None) -> float | None:
        return entropy(tag for e in examples for tag in e.tags or ())

    def features(
        self, examples: Sequence[TaggingExample], tokenizer: Any, labels: Sequence[str], *, max_length: int, train: bool
    ) -> Features:
        """One row per sentence, several if it is too long; a row is a unit.

        Targets: 'label', rows aligned with `input_ids`: the tag's index on first sub-words, IGNORE_INDEX elsewhere.
        Extra: 'first', the positions of the first sub-words in the row.
        """
        special = encoding.get_special_tokens(tokenizer, pair=False)
        max_tokens = encoding.max_text_tokens(max_length, special.count)
        index = {label: i for i, label in enumerate(labels)}
        input_ids, token_type_ids, targets, firsts = (RaggedBuilder() for _ in range(4))
        example_index: list[int] = []
        encodings = encoding.tokenize(tokenizer, [_prepend_spaces(e.words) for e in examples], words=True, offsets=True)
        for n, (example, encoded) in enumerate(zip(examples, encodings, strict=True)):
            tags = [IGNORE_INDEX] * len(example.words) if example.tags is None else [index[tag] for tag in example.tags]
            done = 0
            for words in _split_into_rows(_group_by_word(encoded, len(example.words), tokenizer), max_tokens):
                text = [token for word in words for token in word]
                row = special.build_input_ids(text)
                if special.token_types is not None:
                    token_type_ids.append(special.build_token_type_ids(text))
                lengths = [len(special.before), *(len(word) for word in words)]
                first = np.cumsum(lengths)[:-1].tolist()
                target = [IGNORE_INDEX] * len(row)
                for position, tag in zip(first, tags[done : done + len(words)], strict=True):
                    target[position] = tag
                done += len(words)
                input_ids.append(row)
                example_index.append(n)
                targets.append(target)
                firsts.append(first)
        return Features(
            input_ids.build(),
            example_index=np.array(example_index, dtype=np.int64),
            unit=np.arange(len(input_ids)),
            token_type_ids=token_type_ids.build() if special.token_types is not None else None,
            targets={"label": targets.build()},
            extra={"first": firsts.build()},
        )

    def decode(
        self, examples: Sequence[TaggingExample], features: Features, outputs: list[Any], labels: Sequence[str]
    ) -> list[list[str]]:
        """One tag per word, from the rows of a sentence joined in order."""
        predictions: list[list[str]] = [[] for _ in examples]
        for n, first, classes in zip(features.example_index, features.extra["first"], outputs, strict=True):
            predictions[n] += [labels[label] for label in np.asarray(classes)[first].tolist()]
        return predictions

    def decode_with_scores(
        self,
        examples: Sequence[TaggingExample],
        features: Features,
        outputs: list[Any],
        row_scores: Sequence[np.ndarray] | None,
        labels: Sequence[str],
    ) -> tuple[list[list[str]], list[Scores]]:
        """The scores are the probability of the tag of each word."""
        scores: list[Scores] = [None] * len(examples)
        if row_scores is not None:
            words: list[list[np.ndarray]] = [[] for _ in examples]
            for n, first, row in zip(features.example_index, features.extra["first"], row_scores, strict=True):
                words[n].append(np.asarray(row)[first])
            scores = [np.concatenate(parts) if parts else np.zeros(0) for parts in words]
        return self.decode(examples, features, outputs, labels), scores

    def decode_logits(
        self, examples: Sequence[TaggingExample], features: Features, logits: list[Any], labels: Sequence[str]
    ) -> list[ScoredAnswer]:
        """The score of a sentence is the mean over its words."""
        tags: list[list[str]] = [[] for _ in examples]
        scores: list[list[float]] = [[] for _ in examples]
        for n, first, row in zip(features.example_index.tolist(), features.extra["first"], logits, strict=True):
            probabilities = softmax(row[first])
            tags[n] += [labels[label] for label in probabilities.argmax(axis=-1)]
            scores[n] += probabilities.max(axis=-1).tolist()
        pairs = zip(tags, scores, strict=True)
        return [ScoredAnswer(answer, float(np.mean(words)), tuple(words)) for answer, words in pairs]

    def apply_threshold(self, scored: ScoredAnswer, threshold: float, below: str, labels: Sequence[str]) -> list[str]:
        """The tags, with `below` for each word whose score is less than `threshold`."""
        pairs = zip(scored.answer, scored.word_scores, strict=True)
        return [tag if score >= threshold else below for tag, score in pairs]

    def usage(self, metadata: Any, model_class: str) -> tuple[str, str]:
        # No transformers pipeline: if a tokenizer splits " ." into two tokens, it counts two words, and it merges equal neighbours.
        return (
            load_code(model_class) + 'words = "Words separated by blanks .".split()\n'
            'given = [words[0], *(f" {word}" for word in words[1:])]  # as some tokenizers need it\n'
            'row = tokenizer(given, is_split_into_words=True, return_tensors="pt")\n'
            "firsts = [row.word_ids(0).index(n) for n in range(len(words))]\n"
            "with torch.no_grad():\n    tags = model(**row).logits[0, firsts].argmax(dim=-1).tolist()\n"
            "print([(word, model.config.id2label[tag]) for word, tag in zip(words, tags)])",
            "The tag of a word is that of its first token, which may be a blank. The pipeline of transformers may treat the tokens of "
            "one word as several words, so its tags can differ. `xlift predict` gives the same tags as this code and splits a sentence "
            f"of more than {metadata.max_length} tokens between words.",
        )

    def gold(self, example: TaggingExample) -> list[str] | None:
        return None if example.tags is None else list(example.tags)

    def prompt(self, example: TaggingExample, labels: Sequence[str], template: Template) -> Prompt:
        """Fields: words (each after its marker; without markers in the scheme 'spans') and labels (joined by commas).

        The answer is each word's tag after its marker. Constrained decoding allows nothing else if there are at most
        MAX_CONSTRAINED_LABELS labels. In the scheme 'spans' the answer is the entities: "PER: Ada L. $$ LOC: Rome".

        Raises:
            UserError: the template uses another field.
        """
        spans = template.scheme == "spans"
        markers = [template.word_marker.format(n=n) for n in range(len(example.words))]
        words = list(example.words) if spans else _join_pairs(markers, example.words)
        label_words = [template.label_word(label) for label in labels]
        filled = template.fill({"words": " ".join(words), "labels": ", ".join(label_words)})
        written = [""] * len(words)
        if example.tags is not None:
            tags = [template.label_word(tag) for tag in example.tags]
            written = _list_entities(example) if spans else _join_pairs(markers, tags)
        delimiter = f" {ENTITY_DELIMITER} " if spans else " "
        span, truncation_points, answer = filled.spans.get("words"), [], ""
        end = span[0] - 1 if span else 0
        for word, text in zip(words, written, strict=True):
            end += 1 + len(word)
            answer += (delimiter if answer else "") + text if text else ""
            truncation_points.append((end, len(answer)))
        longest = max((len(word) for word in label_words), default=16)
        constrained = not spans and 0 < len(label_words) <= MAX_CONSTRAINED_LABELS
        return Prompt(
            filled.text,
            None if example.tags is None else answer,
            slots=tuple(tuple(f"{marker} {word}" for word in label_words) for marker in markers) if constrained else (),
            max_new_tokens=len(words) * (longest + 4) + (len(" ".join(words)) if spans else 0),
            truncatable=span,
            truncation_points=tuple(truncation_points) if span else (),
        )

    def parse(self, answer: int | str, example: TaggingExample, labels: Sequence[str], template: Template) -> list[str]:
        """One tag per word: the first one after its marker. In the scheme 'spans' each entity is searched for after the
        previous one, then from the beginning; one that is not in the sentence is dropped."""
        default = next((tag for tag in ("O", "X", *labels) if tag in labels), "O")
        tags = [default] * len(example.words)
        if template.scheme == "spans":
            _tag_entities(str(answer), example.words, tags, labels)
            return tags
        before, after = (re.escape(part) for part in template.word_marker.split("{n}"))
        before = before or r"(?<!\S)"  # a bare number begins a word
        parts = re.split(rf"{before}([0-9]{{1,6}})\s*{after}", str(answer))
        for number, text in reversed(list(zip(parts[1::2], parts[2::2], strict=True))):  # the first one counts
            tag = template.find_label(text, labels) if labels else text.strip()
            if tag and int(number) < len(tags):
                tags[int(number)] = tag
        return tags

    def change_texts(self, example: TaggingExample, change: Change) -> TaggingExample:
        """Changes the sentence as one text and takes each word from its new position; a word of which only white space
        is left stays as it was."""
        changed = change(" ".join(example.words))
        words, start = [], 0
        for word in example.words:
            left, right = changed.span(start, start + len(word))
            words.append(changed.text[left:right] if changed.text[left:right].strip() else word)
            start += len(word) + 1
        return replace(example, words=tuple(words))

    def shuffle_labels(self, examples: Sequence[TaggingExample], rng: Random) -> list[TaggingExample]:
        """Exchanges the tags within each sentence."""
        return [
            example
            if example.tags is None
            else replace(example, tags=tuple(rng.sample(example.tags, len(example.tags))))
            for example in examples
        ]


def split_words(text: str) -> tuple[str, ...]:
    """The words between blanks, tabs and line ends. Other white space is part of a word."""
    return tuple(word for word in re.split(r"[ \t\r\n]+", text) if word)


def _join_pairs(markers: Sequence[str], texts: Sequence[str]) -> list[str]:
    return [f"{marker} {text}" for marker, text in zip(markers, texts, strict=True)]


def _list_entities(example: TaggingExample) -> list[str]:
    """For each word the entity that ends with it, as "PER: Ada L.", or ''. An I- that continues none begins one."""
    written = [""] * len(example.words)
    start, kinds = 0, [tag.partition("-")[::2] for tag in example.tags or ()]
    for n, (prefix, kind) in enumerate(kinds):
        if prefix != "I" or n == 0 or kinds[n - 1][0] not in ("B", "I") or kinds[n - 1][1] != kind:
            start = n
        ends = n + 1 == len(kinds) or kinds[n + 1] != ("I", kind)
        if kind and ends:
            written[n] = f"{kind}: {' '.join(example.words[start : n + 1])}"
    return written


def _tag_entities(answer: str, words: Sequence[str], tags: list[str], labels: Sequence[str]) -> None:
    """Tag the words of the generated entities in place. White space and compatible forms aside (a tokenizer composes
    letters), an entity must consist of whole words."""
    squeezed = [normalize(word) for word in words]
    done, used = 0, [False] * len(words)
    for part in answer.split(ENTITY_DELIMITER):
        kind, _, text = part.partition(":")
        kind, wanted = kind.strip(), normalize(text)
        if f"B-{kind}" not in labels or not wanted:
            continue
        inner = f"I-{kind}" if f"I-{kind}" in labels else f"B-{kind}"
        for start in (*range(done, len(words)), *range(done)):
            end, joined = start, ""
            while end < len(words) and not used[end] and len(joined) < len(wanted):
                joined += squeezed[end]
                end += 1
            if joined == wanted:
                tags[start:end] = [f"B-{kind}", *[inner] * (end - start - 1)]
                used[start:end] = [True] * (end - start)
                done = end
                break


def _prepend_spaces(words: Sequence[str]) -> list[str]:
    """Put a space before every word but the first.

    Without it, byte-level tokenizers without `add_prefix_space` (ModernBERT) and Gemma's (mmBERT) read each word as the
    continuation of the previous one. The other tokenizers strip the space or add it themselves.
    """
    return [words[0], *(" " + word for word in words[1:])]


def _group_by_word(encoded: Any, num_words: int, tokenizer: Any) -> list[list[int]]:
    """Sub-words of each word; the unknown token for a word that the tokenizer drops."""
    words: list[list[int]] = [[] for _ in range(num_words)]
    for token, word in zip(encoded.ids, encoded.word_ids, strict=True):
        words[word].append(token)
    if not all(words):
        if tokenizer.unk_token_id is None:
            raise UserError(
                "the tokenizer makes no token of some word and has no unknown token to replace it",
                where=tokenizer.name_or_path,
                fix="use a model whose tokenizer has an unknown token.",
            )
        words = [word or [tokenizer.unk_token_id] for word in words]
    return words


def _split_into_rows(words: list[list[int]], max_tokens: int) -> list[list[list[int]]]:
    """Fill rows of at most `max_tokens` tokens with words from the left."""
    rows: list[list[list[int]]] = [[]]
    used = 0
    for word in words:
        word = word[:max_tokens]  # a word longer than a row keeps its beginning, which has the tag
        if used + len(word) > max_tokens:
            rows.append([])
            used = 0
        rows[-1].append(word)
        used += len(word)
    return rows


FORMAT = Tagging()
