"""Prompt templates: the text around an example."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from xlift.errors import UserError


class FilledTemplate(NamedTuple):
    """A template with an example filled in."""

    text: str
    spans: dict[str, tuple[int, int]]
    """Field -> its span [begin, end) of `text`, in code points; the first one if the template uses it twice."""

    def longest_span(self, fields: Iterable[str]) -> tuple[int, int] | None:
        """The longest span of some fields; None if the template uses none of them."""
        spans = [self.spans[name] for name in fields if name in self.spans]
        return max(spans, key=lambda span: span[1] - span[0], default=None)


@dataclass(frozen=True)
class Template:
    """One version of one template in one language. `tasks/prompts/` holds all of them and finds the one for a task."""

    name: str
    """With its version, such as `xnli.v1`."""
    language: str
    source: str
    """Model input, with the format's fields in braces: `premise: {text_a} hypothesis: {text_b}`. Braces inside a
    field's value are kept."""
    label_words: Mapping[str, str] = field(default_factory=dict)
    """Label -> word the model writes for it; default: the label itself. Formats may add other entries. In classification the
    words may have the two texts as fields, which makes the answer a whole text."""
    fewshot_delimiter: str = "\n\n"
    """Between few-shot examples."""
    source_if_empty: Mapping[str, str] = field(default_factory=dict)
    """Field -> source to use if that field is empty (a single text, no question); the first such field counts."""
    scheme: str = ""
    """How a format with several ways writes an example: tagging ('' or 'spans'), span QA ('' or 'spaced'), multiple choice ('',
    'joined', 'lettered', 'dotted', 'blank' or 'whole')."""
    word_marker: str = "{n}:"
    """Written before each word of a tagged sentence, with {n} counting from 0. For tokenizers with sentinel tokens it
    is replaced by those."""
    has_end_token: bool = True
    """Whether an end token follows each answer. Without it, the likelihood of an answer is that of any text that begins so."""

    def label_word(self, label: str) -> str:
        return self.label_words.get(label, label)

    def fill(self, fields: Mapping[str, str]) -> FilledTemplate:
        """Fill all fields into the source in one pass, so text inside an example is never read as a field.

        Raises:
            UserError: the template uses a field that the format does not have.
        """
        source = next((text for name, text in self.source_if_empty.items() if not fields.get(name)), self.source)
        text, spans, done = "", {}, 0
        for match in _FIELD.finditer(source):
            name = match[1]
            if name not in fields:
                raise UserError(
                    f"the template '{self.name}' uses the field {{{name}}}, which this format does not have",
                    fix=f"the fields of this format are {', '.join(fields)}.",
                )
            text += source[done : match.start()]
            spans.setdefault(name, (len(text), len(text) + len(fields[name])))
            text += fields[name]
            done = match.end()
        return FilledTemplate(text + source[done:], spans)

    def with_filled_words(self, fields: Mapping[str, str]) -> Template:
        """The template with the fields filled into the label words."""
        if not any("{" in word for word in self.label_words.values()):
            return self
        words = {
            label: replace(self, source=word, source_if_empty={}).fill(fields).text
            for label, word in self.label_words.items()
        }
        return replace(self, label_words=words)

    def find_label(self, text: str, labels: Iterable[str]) -> str | None:
        """The label that a generated text names, by its label word or else by its name; None if it names none.

        White space is ignored. Case is ignored only if nothing matches exactly.
        """
        names = list(labels)
        words = [self.label_word(label) for label in names]
        if (wanted := text.strip()) in words:
            return names[words.index(wanted)]
        for normalise in (_without_space, _folded):  # a tokenizer may have added or removed spaces
            for candidates in (words, names):
                if (wanted := normalise(text)) in (normalised := [normalise(word) for word in candidates]):
                    return names[normalised.index(wanted)]
        return None


def _without_space(text: str) -> str:
    return "".join(text.split())


def _folded(text: str) -> str:
    return _without_space(text).casefold()


_FIELD = re.compile(r"\{(\w+)\}")
