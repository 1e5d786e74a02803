"""Example code for the card of an exported model: a few lines of Python that need only transformers."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from xlift.report.markdown import counted, escaped, listed, table
from xlift.tasks.formats.span_qa import NO_ANSWER, STRIDE

if TYPE_CHECKING:
    from xlift.models.export import ExportMetadata

_WHERE = 'where = "path/to/this/folder"  # or its name on the Hub\n'


_FILES = {"tagging": "words.conll", "span-qa": "questions.json", "multiple-choice": "questions.jsonl"}
"""Format -> name of an example input for `xlift predict`, where it is not a table of texts."""


def snippet(metadata: ExportMetadata, model_class: str, direction: Sequence[str] = ()) -> str:
    """Return Markdown with a block of Python and notes.

    Args:
        model_class: class of transformers that loads the model.
        direction: source and target language of a translation model; empty if unknown.
    """
    writers = {"sequence": _sequence, "token": _token, "span": _span, "choice": _choice, "dual": _vectors, "pooled": _vectors,
              "text": _text}  # fmt: skip
    code, sentences = writers[metadata.kind](metadata, model_class)
    options = ""
    if metadata.format == "translation":
        source, target = (shlex.quote(each) for each in direction or ("SOURCE", "TARGET"))
        options = f" --source-language {source} --target-language {target}"
    cli_note = "" if metadata.kind in ("dual", "pooled") else (
        f"\n\nOr label a file with xlift: `xlift predict path/to/this/folder {_FILES.get(metadata.format, 'texts.tsv')}{options} "
        "--out answers.tsv`."
    )  # fmt: skip
    return f"```python\n{code.strip()}\n```" + (f"\n\n{sentences}" if sentences else "") + cli_note


def _sequence(metadata: ExportMetadata, model_class: str) -> tuple[str, str]:
    texts = '{"text": "The first text.", "text_pair": "The second one."}' if metadata.is_pair else '"A text."'
    return (
        "from transformers import pipeline\n\n"
        f'{_WHERE}ask = pipeline("text-classification", model=where)\n'
        f"print(ask({texts}, truncation=True))",
        "" if metadata.is_pair is not None else 'Give a pair of texts as `{"text": ..., "text_pair": ...}`.',
    )


def _token(metadata: ExportMetadata, model_class: str) -> tuple[str, str]:
    # No transformers pipeline: if a tokenizer splits " ." into two tokens, it counts two words, and it merges equal neighbours.
    return (
        f"import torch\nfrom transformers import {model_class}, AutoTokenizer\n\n"
        f"{_WHERE}model, tokenizer = {model_class}.from_pretrained(where), AutoTokenizer.from_pretrained(where)\n"
        'words = "Words separated by blanks .".split()\n'
        'given = [words[0], *(f" {word}" for word in words[1:])]  # as some tokenizers need it\n'
        'row = tokenizer(given, is_split_into_words=True, return_tensors="pt")\n'
        "firsts = [row.word_ids(0).index(n) for n in range(len(words))]\n"
        "with torch.no_grad():\n    tags = model(**row).logits[0, firsts].argmax(dim=-1).tolist()\n"
        "print([(word, model.config.id2label[tag]) for word, tag in zip(words, tags)])",
        "The tag of a word is that of its first token, which may be a blank. The pipeline of transformers may treat the tokens of "
        "one word as several words, so its tags can differ. `xlift predict` gives the same tags as this code and splits a sentence "
        f"of more than {metadata.max_length} tokens between words.",
    )


def _span(metadata: ExportMetadata, model_class: str) -> tuple[str, str]:
    unanswered = (
        "if output.start_logits[0, 0] + output.end_logits[0, 0] > scores.max():  # at the first token: no answer\n"
        '    answer = ""\n'
        if NO_ANSWER in metadata.labels else ""
    )  # fmt: skip
    return (
        f"import torch\nfrom transformers import {model_class}, AutoTokenizer\n\n"
        f"{_WHERE}model, tokenizer = {model_class}.from_pretrained(where), AutoTokenizer.from_pretrained(where)\n"
        'question, context = "Who?", "A text that holds the answer."\n'
        'given = tokenizer(question, context, return_tensors="pt", return_offsets_mapping=True)\n'
        'offsets, side = given.pop("offset_mapping")[0], torch.tensor([s == 1 for s in given.sequence_ids(0)])\n'
        "with torch.no_grad():\n    output = model(**given)\n"
        "start = output.start_logits[0].masked_fill(~side, -torch.inf)\n"
        "end = output.end_logits[0].masked_fill(~side, -torch.inf)\n"
        "scores = start[:, None] + end[None, :]\n"
        "allowed = torch.ones_like(scores, dtype=torch.bool).triu().tril(29)  # an answer has 30 tokens at most\n"
        "scores = scores.masked_fill(~allowed, -torch.inf)\nfirst, last = divmod(int(scores.argmax()), len(end))\n"
        "answer = context[int(offsets[first][0]) : int(offsets[last][1])]\n"
        + unanswered
        + "print(answer)",
        f"`xlift predict` splits longer contexts into windows of {metadata.max_length} tokens, question included. Each window starts "
        f"half of its context (at most {STRIDE} tokens) after the previous one; the answer is the best span of all windows. "
        "(transformers 5 has no pipeline for this.)",
    )  # fmt: skip


def _choice(metadata: ExportMetadata, model_class: str) -> tuple[str, str]:
    return (
        f"import torch\nfrom transformers import {model_class}, AutoTokenizer\n\n"
        f"{_WHERE}model, tokenizer = {model_class}.from_pretrained(where), AutoTokenizer.from_pretrained(where)\n"
        'context, question, choices = "A story.", "What then?", ["One ending.", "Another one."]\n'
        'rows = tokenizer([context] * len(choices), [f"{question} {choice}" for choice in choices], padding=True,\n'
        '                 return_tensors="pt")\n'
        "with torch.no_grad():\n"
        "    logits = model(**{name: tensor.unsqueeze(0) for name, tensor in rows.items()}).logits\n"
        "print(choices[int(logits.argmax())])",
        "",
    )


def _vectors(metadata: ExportMetadata, model_class: str) -> tuple[str, str]:
    layer, how = metadata.pooling["layer"], metadata.pooling["pooling"]
    pooled = {
        "mean": "mask = rows.attention_mask.unsqueeze(-1)\nvectors = (states * mask).sum(dim=1) / mask.sum(dim=1)",
        "cls": "vectors = states[:, 0]",
        "pooler": "vectors = states[:, 0]  # then the layer in 2_Dense, and tanh",
    }[how]
    code = (
        f"import torch\nfrom transformers import {model_class}, AutoTokenizer\n\n"
        f"{_WHERE}model, tokenizer = {model_class}.from_pretrained(where), AutoTokenizer.from_pretrained(where)\n"
        'rows = tokenizer(["A text.", "Another one."], padding=True, truncation=True, return_tensors="pt")\n'
        "with torch.no_grad():\n"
        f"    states = model(**rows, output_hidden_states=True).hidden_states[{layer}]\n{pooled}\n"
        "vectors = torch.nn.functional.normalize(vectors, dim=-1)"
    )
    source = (
        f"the mean of the hidden states of layer {layer} (0 is the embeddings), including special tokens"
        if how == "mean"
        else f"computed from the hidden state of the first token at layer {layer}"
    )
    sentences = f"The vector of a text is {source}. Compare texts by cosine similarity."
    if metadata.pooling.get("center"):
        sentences += " For the scores below, the mean vector of each language is subtracted first."
    return code, sentences + " If there is a `modules.json`, sentence-transformers computes the same vectors."


def _text(metadata: ExportMetadata, model_class: str) -> tuple[str, str]:
    cut = "" if "Seq2Seq" in model_class else "[:, rows.input_ids.shape[1]:]"
    templates = metadata.prompt.get("templates") or {}
    source = next(iter(templates.values()))["source"] if templates else ""
    code = (
        f"from transformers import {model_class}, AutoTokenizer\n\n"
        f"{_WHERE}model, tokenizer = {model_class}.from_pretrained(where), AutoTokenizer.from_pretrained(where)\n"
        'rows = tokenizer("...", return_tensors="pt")  # the prompt below, with its fields filled in\n'
        f"output = model.generate(**rows){cut}\n"
        "print(tokenizer.decode(output[0], skip_special_tokens=True))"
    )
    if not source:
        return code, ""
    shown = "\n".join("    " + line for line in str(source).splitlines())
    where = (
        f" for {escaped(next(iter(templates)))} (`xlift.json` has the other languages)" if len(templates) > 1 else ""
    )
    sentences = [f"The prompt{where}, with fields in braces:\n\n{shown}", _fewshot_note(metadata)]
    return code, "\n\n".join(filter(None, [*sentences, _label_words_note(metadata, templates)]))


def _fewshot_note(metadata: ExportMetadata) -> str:
    """Describe the few-shot examples of the prompt and where to find them; '' if there are none."""
    num_fewshot = len(metadata.prompt.get("fewshot_examples", ())) - 1  # one is a spare (tasks/prompts/fewshot.py)
    if num_fewshot < 1:
        return ""
    which = f"the first {num_fewshot}" if num_fewshot > 1 else "the first one"
    return (
        f"Each prompt starts with {counted(num_fewshot, 'few-shot example')}, formatted the same way and followed by its answer: "
        f"{which} under `prompt`, `fewshot_examples` in `xlift.json`. The last one there replaces an example that is itself the "
        "question. `xlift predict` adds the few-shot examples; the code above does not."
    )


def _label_words_note(metadata: ExportMetadata, templates: Mapping[str, Any]) -> str:
    """Describe the text of each label and how `xlift predict` chooses; '' for freely generated text."""
    by_words: dict[tuple[str, ...], list[str]] = {}
    for code, template in templates.items():
        own = template.get("label_words") or {}
        by_words.setdefault(tuple(str(own.get(label, label)) for label in metadata.labels), []).append(code)
    sentences = []
    chosen = {"classification": "label texts", "multiple-choice": "choices"}.get(metadata.format)
    if metadata.labels and (metadata.format == "classification" or list(by_words) != [metadata.labels]):
        heads = ["text"] if len(by_words) == 1 else [listed(codes) for codes in by_words.values()]
        lines = [[escaped(each) for each in line] for line in zip(metadata.labels, *by_words, strict=True)]
        sentences.append("The text of each label:\n\n" + table(["label", *heads], lines))
    if chosen:
        by = "the mean log likelihood of its tokens" if metadata.prompt.get("settings", {}).get("normalize", True) else (
            "the total log likelihood of its tokens")  # fmt: skip
        sentences.append(
            f"`xlift predict` does not generate freely. It takes the most likely of the {chosen}, by {by} including the end token. "
            "The code above generates freely and may return another text."
        )
    if len(templates) > 1:
        sentences.append(
            "`xlift predict --source-language CODE` uses the prompt of that language, by default the first one."
        )
    return "\n\n".join(sentences)
