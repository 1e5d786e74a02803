"""xlift held to transformers, lm-evaluation-harness and sentence-transformers on two real pretrained models.

    make real-models
    pip install 'xlift[bench]'                 # sentence-transformers, and lm_eval
    python -m benchmarks.parity --data ../shared/data [--models real-models] [--rows 20]

Prints a table with the largest difference of each comparison, in float32. A package that is not installed leaves its rows
out and is named below the table. Likelihoods are of the dev rows of XCOPA, `--rows` of each language. With xlift's template
`v1` the harness gets xlift's strings, with an end token. With `lm-eval` it gets those that its own task makes of the rows.
By default the harness computes its softmax in float32. Over Gemma's 262,144 tokens the sum of the exponentials is
then off by 4e-5 of each token's log likelihood, so a second row has the harness with `softmax_dtype="float64"`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from benchmarks.timing import table

if TYPE_CHECKING:
    from xlift.tasks.formats.multiple_choice import ChoiceExample

LANGUAGES = ("et", "ht", "id", "it", "sw", "ta")
PROMPTS = ("The capital of France is", "Ein Jahr hat zwölf", "日本の首都は", "Mji mkuu wa Kenya ni", "भारत की राजधानी")
NEW_TOKENS = 16


class Comparison(NamedTuple):
    what: str
    peer: str
    count: str
    """How much was compared."""
    difference: str


class Missing(Exception):
    """A package or a folder is not there."""


class Gemma:
    """The model as xlift and as transformers load it."""

    def __init__(self, folder: Path, texts: list[str]) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from xlift.models.backbone import load

        self.folder, self.texts = folder, texts
        self.ours, self.tokenizer = load(folder)
        self.ours.eval()
        self.plain: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.plain_tokenizer: Any = AutoTokenizer.from_pretrained(folder)

    def batch(self) -> dict[str, torch.Tensor]:
        inputs = self.tokenizer(self.texts, padding=True, padding_side="right", return_tensors="pt")
        return {name: inputs[name] for name in ("input_ids", "attention_mask")}


def compare_states(gemma: Gemma) -> Iterator[Comparison]:
    inputs = gemma.batch()
    found, largest, tokens = gemma.ours.last_hidden_state(inputs), 0.0, 0
    for row, text in enumerate(gemma.texts):
        ids = gemma.plain_tokenizer(text, return_tensors="pt")["input_ids"]
        expected = gemma.plain.model(input_ids=ids).last_hidden_state[0]
        errors = (found[row, : len(expected)] - expected).norm(dim=-1) / expected.norm(dim=-1)
        largest, tokens = max(largest, float(errors.max())), tokens + len(expected)
    yield Comparison("Gemma, last states, relative", "transformers", f"{tokens} tokens", f"{largest:.1e}")


def compare_generation(gemma: Gemma) -> Iterator[Comparison]:
    from xlift.models.text_mode import generate

    sources = [np.array(gemma.tokenizer(prompt)["input_ids"]) for prompt in PROMPTS]
    stop = [gemma.tokenizer.eos_token_id]
    found = generate(gemma.ours, sources, gemma.tokenizer.pad_token_id, stop_ids=stop, max_new_tokens=NEW_TOKENS)
    equal = 0
    for source, answer in zip(sources, found, strict=True):
        ids = torch.from_numpy(source)[None]
        output = gemma.plain.generate(ids, max_new_tokens=NEW_TOKENS, do_sample=False)[0, len(source) :].tolist()
        equal += answer.tolist() == [token for token in output if token not in stop]
    text = f"{len(PROMPTS)} texts of {NEW_TOKENS} tokens"
    yield Comparison("Gemma, generated text", "transformers", text, f"{equal} of {len(PROMPTS)} equal")


def compare_head(gemma: Gemma) -> Iterator[Comparison]:
    from transformers import Gemma3TextConfig, Gemma3TextForSequenceClassification

    from xlift.models.outputs import HeadSpec

    head = gemma.ours.add_head("task", HeadSpec("sequence", ("a", "b", "c")), seed=1).eval()
    torch.nn.init.normal_(head.get_parameter("score.weight"), std=0.02)
    config = Gemma3TextConfig.from_pretrained(gemma.folder, num_labels=3, dtype=torch.float32)
    theirs = Gemma3TextForSequenceClassification(config).eval()
    theirs.load_state_dict(gemma.ours.stock_state_dict("task"))
    inputs = gemma.batch()
    difference = float((gemma.ours(inputs, "task") - theirs(**inputs).logits).abs().max())
    yield Comparison("Gemma, logits of a head", type(theirs).__name__, f"{len(gemma.texts)} rows", f"{difference:.1e}")


def compare_likelihoods(gemma: Gemma, data: Path, rows: int) -> Iterator[Comparison]:
    _require("lm_eval")
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    from xlift.models.text_mode import candidate_scores
    from xlift.recipes import PromptSettings
    from xlift.tasks import catalog, formats
    from xlift.tasks.prompts import find_template
    from xlift.tasks.prompts.fewshot import make_prompts
    from xlift.tasks.prompts.tokenization import text_features

    task = catalog.get("xcopa")
    format = formats.get(task.format)
    harnesses = {
        dtype: HFLM(pretrained=gemma.plain, tokenizer=gemma.plain_tokenizer, softmax_dtype=dtype)
        for dtype in ("float32", "float64")
    }
    for version in ("v1", "lm-eval"):
        pairs: list[tuple[str, str]] = []
        answers: list[np.ndarray] = []
        for language in LANGUAGES:
            template = find_template(task, PromptSettings(template=version, instructions="own"), language)
            examples = list(task.source.read(task, language, "dev", data))[:rows]
            prompts = list(make_prompts(examples, format, task.labels, template))
            part = text_features(prompts, gemma.tokenizer, "decoder", max_length=256, train=False)
            for row, candidates in enumerate(part.extra["candidates"]):
                answers += candidate_scores(gemma.ours, [part.input_ids[row]], [candidates], 0)
            if version == "lm-eval":
                pairs += harness_texts(examples, language)
            else:
                end = gemma.tokenizer.eos_token
                pairs += [(prompt.source, f" {text}{end}") for prompt in prompts for text in prompt.candidates]
        requests = [Instance("loglikelihood", {}, pair, number) for number, pair in enumerate(pairs)]
        for dtype, harness in harnesses.items():
            expected = np.array([value for value, _ in harness.loglikelihood(requests, disable_tqdm=True)])
            difference = np.abs(np.concatenate(answers) - expected).max()
            yield Comparison(
                f"Gemma, log likelihood of XCOPA's choices, template {version}",
                f"lm-evaluation-harness, its softmax in {dtype}",
                f"{len(pairs)} choices in {len(LANGUAGES)} languages", f"{difference:.1e}",
            )  # fmt: skip


def harness_texts(examples: Iterable[ChoiceExample], language: str) -> list[tuple[str, str]]:
    """(context, continuation) of each choice, as the harness's XCOPA makes them."""
    from lm_eval.tasks.xcopa import utils

    context, pairs = getattr(utils, f"doc_to_text_{language}"), []
    for example in examples:
        question = "cause" if example.question == "What was the cause?" else "effect"
        document: dict[str, str] = {"premise": example.context, "question": question}
        document |= {f"choice{number}": text for number, text in enumerate(example.choices, 1)}
        pairs += [(context(document), f" {choice}") for choice in utils.doc_to_choice(document)]
    return pairs


def compare_vectors(folder: Path, texts: list[str]) -> Iterator[Comparison]:
    _require("sentence_transformers")
    from sentence_transformers import SentenceTransformer

    from xlift.evaluation.embeddings import Pooling, compute_pooled_vectors
    from xlift.models.backbone import load
    from xlift.tasks.formats.features import Features
    from xlift.tasks.formats.ragged import Ragged
    from xlift.training.progress import Progress

    model, tokenizer = load(folder)
    rows = Ragged.from_rows([np.array(tokenizer(text)["input_ids"]) for text in texts])
    index, pooling = np.arange(len(texts)), Pooling(int(model.backbone.config.num_hidden_layers), "mean")
    with torch.inference_mode():
        (vectors,) = compute_pooled_vectors(
            model.eval(), [Features(rows, index, index)], [[pooling]], tokenizer.pad_token_id, 4096, Progress()
        )
    expected = SentenceTransformer(str(folder), device="cpu").encode(texts)  # mean pooling, its default
    difference = float(np.abs(vectors[pooling] - expected).max())
    yield Comparison("MiniLM, sentence vectors", "sentence-transformers", f"{len(texts)} texts", f"{difference:.1e}")


def compare_bert_head(folder: Path, texts: list[str]) -> Iterator[Comparison]:
    from transformers import BertConfig, BertForSequenceClassification

    from xlift.models.backbone import load
    from xlift.models.outputs import HeadSpec

    model, tokenizer = load(folder)
    head = model.add_head("task", HeadSpec("sequence", ("a", "b", "c")), seed=1)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    model.eval()
    theirs = BertForSequenceClassification(BertConfig.from_pretrained(folder, num_labels=3)).eval()
    theirs.load_state_dict(model.stock_state_dict("task"))
    inputs = dict(tokenizer(texts, padding=True, return_tensors="pt"))
    with torch.inference_mode():
        difference = float((model(inputs, "task") - theirs(**inputs).logits).abs().max())
    yield Comparison("MiniLM, logits of a head", type(theirs).__name__, f"{len(texts)} rows", f"{difference:.1e}")


def read_texts(data: Path, count: int) -> list[str]:
    """Premises of XCOPA."""
    from xlift.tasks import catalog

    task = catalog.get("xcopa")
    per_language = [list(task.source.read(task, language, "dev", data))[:count] for language in LANGUAGES]
    return [example.context for examples in per_language for example in examples]


def _require(package: str) -> None:
    if find_spec(package) is None:
        raise Missing(f"{package} is not installed: pip install 'xlift[bench]'")


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=Path(os.environ.get("XLIFT_REAL_MODELS") or "real-models"))
    parser.add_argument("--data", type=Path, required=True, help="folder with xcopa/")
    parser.add_argument("--rows", type=int, default=20, help="of each language")
    options = parser.parse_args()
    texts = read_texts(options.data, 4)
    gemma = Gemma(options.models / "gemma-3-270m", texts)
    minilm = options.models / "minilm"
    checks: list[Callable[[], Iterator[Comparison]]] = [
        lambda: compare_states(gemma),
        lambda: compare_likelihoods(gemma, options.data, options.rows),
        lambda: compare_generation(gemma),
        lambda: compare_head(gemma),
        lambda: compare_bert_head(minilm, texts),
        lambda: compare_vectors(minilm, texts),
    ]
    rows, missing = [], []
    for check in checks:
        try:
            rows += check()
        except Missing as error:
            missing.append(str(error))
    print(table(("", "compared with", "on", "largest difference"), rows))
    print("".join(f"\n{line}" for line in missing), end="")


if __name__ == "__main__":
    main()
