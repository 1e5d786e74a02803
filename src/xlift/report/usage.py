"""Example code for the card of an exported model: a few lines of Python that need only transformers."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from xlift.report.markdown import escaped, listed, table
from xlift.tasks import formats
from xlift.tasks.formats.base import WHERE
from xlift.units import count_noun

if TYPE_CHECKING:
    from xlift.models.export import ExportMetadata


def snippet(metadata: ExportMetadata, model_class: str, direction: Sequence[str] = ()) -> str:
    """Return Markdown with a block of Python and notes.

    Args:
        model_class: class of transformers that loads the model.
        direction: source and target language of a translation model; empty if unknown.
    """
    format = formats.get(metadata.format)
    code, sentences = _text(metadata, model_class) if metadata.is_text_mode else format.usage(metadata, model_class)
    options = ""
    if format.has_direction:
        source, target = (shlex.quote(each) for each in direction or ("SOURCE", "TARGET"))
        options = f" --source-language {source} --target-language {target}"
    cli_note = "" if metadata.pooling else (
        f"\n\nOr label a file with xlift: `xlift predict path/to/this/folder {format.sample_file}{options} "
        "--out answers.tsv`."
    )  # fmt: skip
    return f"```python\n{code.strip()}\n```" + (f"\n\n{sentences}" if sentences else "") + cli_note


def _text(metadata: ExportMetadata, model_class: str) -> tuple[str, str]:
    cut = "" if "Seq2Seq" in model_class else "[:, rows.input_ids.shape[1]:]"
    templates = metadata.prompt.get("templates") or {}
    source = next(iter(templates.values()))["source"] if templates else ""
    code = (
        f"from transformers import {model_class}, AutoTokenizer\n\n"
        f"{WHERE}model, tokenizer = {model_class}.from_pretrained(where), AutoTokenizer.from_pretrained(where)\n"
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
        f"Each prompt starts with {count_noun(num_fewshot, 'few-shot example')}, formatted the same way and followed by its answer: "
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
    chosen = formats.get(metadata.format).candidates
    if metadata.labels and (chosen or list(by_words) != [metadata.labels]):
        heads = ["text"] if len(by_words) == 1 else [listed(codes) for codes in by_words.values()]
        lines = [[escaped(each) for each in line] for line in zip(metadata.labels, *by_words, strict=True)]
        sentences.append("The text of each label:\n\n" + table(["label", *heads], lines))
    if chosen:
        end = " including the end token" if all(each.get("has_end_token", True) for each in templates.values()) else ""
        by = "the mean log likelihood of its tokens" if metadata.prompt.get("settings", {}).get("normalize", True) else (
            "the total log likelihood of its tokens")  # fmt: skip
        sentences.append(
            f"`xlift predict` does not generate freely. It takes the most likely of the {chosen}, by {by}{end}. "
            "The code above generates freely and may return another text."
        )
    if len(templates) > 1:
        sentences.append(
            "`xlift predict --source-language CODE` uses the prompt of that language, by default the first one."
        )
    return "\n\n".join(sentences)
