"""Extractive question answering: the answer is a span of the context.

Windows, 30-token answers, 64-token questions and the null rule are those of SQuAD's and XTREME's `run_squad.py`.
Character offsets select the text of an answer, which has whole grapheme clusters. The scripts join whitespace words
instead, so in languages written without spaces (zh, th), where such a "word" is a whole sentence, scores here are above
the published ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np

from xlift.tasks.formats import encoding
from xlift.tasks.formats.base import Format, ScoredAnswer, Scores, load_code
from xlift.tasks.formats.change import Change, apply_change
from xlift.tasks.formats.features import Features, Prompt
from xlift.tasks.formats.ragged import RaggedBuilder
from xlift.tasks.formats.span_scores import (
    NULL_POSITION,
    best_spans,
    span_probability,
)
from xlift.tasks.formats.span_texts import find_in_context, on_one_line, pad_punctuation
from xlift.tasks.formats.span_windows import find_answer_tokens, make_windows, tokenize_contexts
from xlift.tasks.formats.template import Template
from xlift.tasks.grapheme_clusters import find_whole, widen_span

NO_ANSWER = "no-answer"
"""This label in a task's `labels` means that questions may be unanswerable (SQuAD v2)."""
STRIDE = 128
"""Tokens from the start of one window to the start of the next (XTREME's `--doc_stride`)."""
MAX_QUESTION_TOKENS = 64
GUESSING_SHARE = 0.75
"""Bound on the loss, as a share of the loss of a uniform guess over a row's tokens. If a third of the questions have no
answer, a constant answer is right for that third. A stage of 3,000 examples does not score above it, but its loss ends
at .5 of guessing, so it has learned (docs/log.md)."""


@dataclass(frozen=True)
class SpanExample:
    id: str
    context: str
    question: str
    answers: tuple[str, ...] = ()
    """Every accepted answer; none means unanswerable. Training uses the first."""
    starts: tuple[int, ...] = ()
    """Where each answer starts in the context, in code points."""


class SpanQA(Format):
    name = "span-qa"
    usual_answer = "with answer"
    output_kind = "span"
    example_class = SpanExample
    revision = 1  # tokens and answers of whole grapheme clusters, also where an answer has no start
    columns = {
        "context": ("context", "premise"),
        "question": ("question",),
        "answer": ("answer",),
        "start": ("start", "answer_start"),
        "answers": ("answers.text", "answers"),
        "starts": ("answers.answer_start", "starts"),
    }
    input_fields = ("context", "question")
    input_files = (".json",)
    sample_file = "questions.json"
    pipeline_tag = "question-answering"
    score_kind = "logit"
    has_probabilities = True
    exported_max_length = 384
    default_metrics = ("squad-f1", "squad-em")
    optional_labels = ("answer", NO_ANSWER)
    long_texts = "windows"

    def check(self, example: SpanExample, labels: Sequence[str]) -> str | None:
        if len(example.answers) != len(example.starts):
            return f"{len(example.answers)} answers but {len(example.starts)} starts"
        if not example.answers and NO_ANSWER not in labels:
            return f"no answer is given (allowed only in a task with the label '{NO_ANSWER}')"
        for answer, start in zip(example.answers, example.starts, strict=True):
            if not answer.strip():
                return "an answer is empty"
            found = example.context[start : start + len(answer)] if start >= 0 else ""
            if found != answer:
                return f"answer '{answer}' is not at character {start} of the context (found there: '{found}')"
        return None

    def unit_text(self, example: SpanExample) -> str:
        return example.context

    def texts(self, example: SpanExample) -> tuple[str, ...]:
        return (example.context, example.question)

    def counted_answers(self, example: SpanExample) -> tuple[str, ...]:
        return (self.usual_answer if example.answers else "without answer",)

    def check_input(self, example: SpanExample) -> str | None:
        return None

    def read_record(self, fields: Any, name: str, *, with_gold: bool = True) -> SpanExample:
        """One answer per record, or a list; an empty answer means that the context has none, and needs no start. Without
        a start the first occurrence is used."""
        context = fields.text("context", strip=False)  # answer positions refer to the unstripped text
        question = fields.text("question")
        if not with_gold:
            return SpanExample(name, context, question)
        if fields.column("answer") is None and fields.column("answers") is not None:
            answers, starts = fields.texts("answers"), fields.integers("starts")
            if answers == ("",) and starts == (-1,):
                answers = starts = ()
            return SpanExample(name, context, question, answers, starts)
        answer = fields.text_or_empty("answer", strip=False)
        if not answer:
            return SpanExample(name, context, question)
        start = fields.optional_integer("start")
        if (start is None and fields.column("start") is not None) or (start is not None and start < 0):
            raise fields.problem(
                f"the answer '{answer}' has no start", "Give its first character in the context, from 0."
            )
        start = find_whole(context, answer) if start is None else start
        if start < 0:
            raise fields.problem(f"the answer '{answer}' is not in the context")
        return SpanExample(name, context, question, (answer,), (start,))

    def fixed_offsets(self, example: SpanExample) -> dict[str, set[int]]:
        """No change crosses the start or the end of an answer."""
        spans = zip(example.starts, example.answers, strict=True)
        return {example.context: {edge for start, answer in spans for edge in (start, start + len(answer))}}

    def constant_predictions(self, examples: Sequence[SpanExample]) -> list[list[Any]]:
        """No answer is frequent enough to guess, except that there is none."""
        return [[""] * len(examples)]

    def loss_bound(self, examples: Sequence[SpanExample], row_lengths: np.ndarray | None = None) -> float | None:
        if row_lengths is None or not len(row_lengths):
            return None
        return GUESSING_SHARE * float(np.mean(np.log(row_lengths)))

    def features(
        self,
        examples: Sequence[SpanExample],
        tokenizer: Any,
        labels: Sequence[str],
        *,
        max_length: int,
        train: bool,
        stride: int = STRIDE,
    ) -> Features:
        """One row per window: the question, then a span of the context. A row is a unit.

        `stride` is at most half a window, so neighbours overlap however short `max_length` is; the question takes at
        most half of the row.

        Targets: 'start' and 'end', the first and last token of the first answer; NULL_POSITION if the window does not
        contain all of it. Extra, for decoding: 'context', the position of the first context token, and 'begins' and
        'ends', character offsets of the context tokens, at grapheme clusters.
        """
        special = encoding.get_special_tokens(tokenizer, pair=True)
        max_tokens = encoding.max_text_tokens(max_length, special.count, minimum=2)
        contexts = list(dict.fromkeys(e.context for e in examples))  # many questions share one
        context_index = {context: n for n, context in enumerate(contexts)}
        ids, begins, ends = tokenize_contexts(tokenizer, contexts)
        questions = encoding.tokenize(tokenizer, [e.question for e in examples])

        input_ids, token_type_ids = RaggedBuilder(), RaggedBuilder()
        example_index: list[int] = []
        targets: dict[str, list[int]] = {"start": [], "end": []}
        extra: dict[str, list[Any]] = {"context": [], "begins": [], "ends": []}
        for n, (example, encoded) in enumerate(zip(examples, questions, strict=True)):
            question = encoded.ids[: min(MAX_QUESTION_TOKENS, max_tokens // 2)]
            context = context_index[example.context]
            answer = None
            if example.answers:
                start, stop = example.starts[0], example.starts[0] + len(example.answers[0])
                answer = find_answer_tokens(start, stop, begins[context], ends[context])
            offset = len(special.before) + len(question) + len(special.between)
            for left, right in make_windows(len(ids[context]), max_tokens - len(question), stride):
                text = ids[context][left:right].tolist()
                input_ids.append(special.build_input_ids(question, text))
                if special.token_types is not None:
                    token_type_ids.append(special.build_token_type_ids(question, text))
                example_index.append(n)
                inside = answer is not None and left <= answer[0] and answer[1] < right
                targets["start"].append(answer[0] - left + offset if answer and inside else NULL_POSITION)
                targets["end"].append(answer[1] - left + offset if answer and inside else NULL_POSITION)
                extra["context"].append(offset)
                extra["begins"].append(begins[context][left:right])
                extra["ends"].append(ends[context][left:right])
        return Features(
            input_ids.build(),
            example_index=np.array(example_index, dtype=np.int64),
            unit=np.arange(len(input_ids)),
            token_type_ids=token_type_ids.build() if special.token_types is not None else None,
            targets={name: np.array(values, dtype=np.int64) for name, values in targets.items()},
            extra={} if train else extra,
        )

    def decode(
        self, examples: Sequence[SpanExample], features: Features, outputs: list[Any], labels: Sequence[str]
    ) -> list[str]:
        return self.decode_with_scores(examples, features, outputs, None, labels)[0]

    def decode_with_scores(
        self,
        examples: Sequence[SpanExample],
        features: Features,
        outputs: list[Any],
        row_scores: Sequence[np.ndarray] | None,
        labels: Sequence[str],
    ) -> tuple[list[str], list[Scores]]:
        """The text of the best span over all windows of an example; '' is "no answer".

        If the task has the label 'no-answer', '' wins if the lowest null score of the windows is above the best span's
        (SQuAD v2 with threshold 0). Ties go to the earlier window, start and end.

        The scores are those of the best span and of the null span: each the sum of a start and an end logit.
        """
        score, start, end = best_spans(outputs, features.extra["context"], [len(b) for b in features.extra["begins"]])
        texts = [""] * len(examples)
        best = np.full(len(examples), -np.inf)
        null = np.full(len(examples), np.inf)
        null_scores = [scores[0][NULL_POSITION] + scores[1][NULL_POSITION] for scores in outputs]
        np.fmin.at(null, features.example_index, null_scores)
        for row, n in enumerate(features.example_index.tolist()):
            if score[row] > best[n]:
                best[n] = score[row]
                begin, stop = features.extra["begins"][row][start[row]], features.extra["ends"][row][end[row]]
                # a byte-level token may contain the space before its word
                texts[n] = examples[n].context[int(begin) : int(stop)].strip()
        if NO_ANSWER in labels:
            texts = ["" if null[n] > best[n] else text for n, text in enumerate(texts)]
        return texts, list(np.stack([best, null], axis=1))

    def decode_logits(
        self, examples: Sequence[SpanExample], features: Features, logits: list[Any], labels: Sequence[str]
    ) -> list[ScoredAnswer]:
        """The score is softmax of the start times softmax of the end, over the context of all windows (and the null
        span)."""
        logits = [row.T for row in logits]
        texts = self.decode(examples, features, logits, labels)
        windows: list[list[int]] = [[] for _ in examples]
        for row, n in enumerate(features.example_index.tolist()):
            windows[n].append(row)
        is_nullable = NO_ANSWER in labels
        return [
            ScoredAnswer(text, span_probability(text, rows, features, logits, is_nullable))
            for text, rows in zip(texts, windows, strict=True)
        ]

    def usage(self, metadata: Any, model_class: str) -> tuple[str, str]:
        unanswered = (
            "if output.start_logits[0, 0] + output.end_logits[0, 0] > scores.max():  # at the first token: no answer\n"
            '    answer = ""\n'
            if NO_ANSWER in metadata.labels else ""
        )  # fmt: skip
        return (
            "import regex\n"
            + load_code(model_class)
            + 'question, context = "Who?", "A text that holds the answer."\n'
            'given = tokenizer(question, context, return_tensors="pt", return_offsets_mapping=True)\n'
            'offsets, side = given.pop("offset_mapping")[0], torch.tensor([s == 1 for s in given.sequence_ids(0)])\n'
            "with torch.no_grad():\n    output = model(**given)\n"
            "start = output.start_logits[0].masked_fill(~side, -torch.inf)\n"
            "end = output.end_logits[0].masked_fill(~side, -torch.inf)\n"
            "scores = start[:, None] + end[None, :]\n"
            "allowed = torch.ones_like(scores, dtype=torch.bool).triu().tril(29)  # an answer has 30 tokens at most\n"
            "scores = scores.masked_fill(~allowed, -torch.inf)\nfirst, last = divmod(int(scores.argmax()), len(end))\n"
            "begin, end = int(offsets[first][0]), int(offsets[last][1])\n"
            "# whole characters: a tokenizer may leave an accent out\n"
            'characters = [match.span() for match in regex.finditer(r"\\X", context)]\n'
            "begin = max(left for left, _ in characters if left <= begin)\n"
            "end = min(right for _, right in characters if right >= end)\n"
            "answer = context[begin:end].strip()\n"
            + unanswered
            + "print(answer)",
            f"`xlift predict` splits longer contexts into windows of {metadata.max_length} tokens, question included. Each window starts "
            f"half of its context (at most {STRIDE} tokens) after the previous one; the answer is the best span of all windows. "
            "(transformers 5 has no pipeline for this.)",
        )  # fmt: skip

    def gold(self, example: SpanExample) -> list[str]:
        return list(example.answers)

    def prompt(self, example: SpanExample, labels: Sequence[str], template: Template) -> Prompt:
        """Fields: context and question. The answer is generated: the first gold answer, on one line, or the label word
        of 'no-answer' if there is none.

        Raises:
            UserError: the template uses another field.
        """
        spaced = template.scheme == "spaced"
        filled = template.fill({
            "context": pad_punctuation(example.context) if spaced else example.context,
            "question": pad_punctuation(example.question) if spaced else example.question,
        })  # fmt: skip
        format_answer = pad_punctuation if spaced else on_one_line
        answer = format_answer(example.answers[0]) if example.answers else None
        if answer is None and NO_ANSWER in labels:
            answer = template.label_word(NO_ANSWER)
        return Prompt(filled.text, answer, truncatable=filled.spans.get("context"))

    def parse(self, answer: int | str, example: SpanExample, labels: Sequence[str], template: Template) -> str:
        """The first line of the generated text; '' for "no answer".

        If the context contains the same characters, white space and compatible forms aside, the result is that span of
        the context: a tokenizer may have lost a line break or composed the letters, and mT5's prompt puts spaces around
        punctuation.
        """
        text = str(answer).strip().partition("\n")[0].strip()
        if NO_ANSWER in labels and text.casefold() == template.label_word(NO_ANSWER).casefold():
            return ""
        return text if text in example.context else find_in_context(text, example.context)

    def change_texts(self, example: SpanExample, change: Change) -> SpanExample:
        """Takes the answers from their new positions in the changed context. Drops an answer of which only white space
        is left; if that is true of all answers, it keeps the context and changes only the question."""
        changed = change(example.context)
        spans = [changed.span(s, s + len(a)) for s, a in zip(example.starts, example.answers, strict=True)]
        kept = [(start, end) for start, end in spans if changed.text[start:end].strip()]
        question = apply_change(example.question, change)
        if not changed.text.strip() or (spans and not kept):
            return replace(example, question=question)
        answers = tuple(changed.text[start:end] for start, end in kept)
        return replace(
            example, context=changed.text, question=question, answers=answers, starts=tuple(start for start, _ in kept)
        )

    def shuffle_labels(self, examples: Sequence[SpanExample], rng: Random) -> list[SpanExample]:
        """Replaces the answer that training uses by a random span of the same context with as many characters, or more where
        its edges would cut a character as a reader sees it. A question without answer stays so."""
        return [replace_answer(example, rng) if example.answers else example for example in examples]


def replace_answer(example: SpanExample, rng: Random) -> SpanExample:
    """The example with one random span as its only answer. The span has some visible character."""
    context, length = example.context, len(example.answers[0])
    starts = [at for at in range(len(context) - length + 1) if context[at : at + length].strip()]
    start = rng.choice(starts)
    start, end = widen_span(context, start, start + length)
    return replace(example, answers=(context[start:end],), starts=(start,))


FORMAT = SpanQA()
