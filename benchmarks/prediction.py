"""Prediction in many languages with a random model of the shape of XLM-R: xlift against loops over padded batches.

    python -m benchmarks.prediction [--shape base|small|tiny] [--suite nli qa embeddings] [--rows 200] [--repeats 3]
                                    [--data ../shared/data] [--threads N] [--eval-batch 8]

Run nothing else beside it. The suites: (nli) 15 languages of premise and hypothesis, lengths as in XNLI (lognormal,
mean 41, at most 128); (qa) 7 languages of windows (mean 190, at most 384), decoded into spans; (embeddings) the
sentences of Tatoeba's files, mean-pooled, tokenizing included. Rows of nli and qa are random words of random lengths,
the same for all contestants.

The contestants have the same weights and run in turns in one process, and their predictions are compared. nli and qa
run in fp32, as in XTREME's scripts, and in bf16; embeddings run in fp32:

- padded to 128 or 384, language by language, batches of 8: as in XTREME's run_classify.py and run_squad.py, with
  the default `--per_gpu_eval_batch_size` of 8;
- padded to the longest of a batch, language by language, batches of 8 in the order of the data: HF Trainer with a
  padding collator and default arguments;
- `encode` of sentence-transformers (sorted by length, batches of 32), if it is installed;
- xlift, language by language, and all languages in one pass; for embeddings also at XTREME's layer, and at two layers
  at once.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import (
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaForQuestionAnswering,
    XLMRobertaForSequenceClassification,
    XLMRobertaModel,
)

from benchmarks.timing import ratios, spread, table, time_in_turns
from benchmarks.xnli_shape import LABELS, SHAPES, BenchmarkShape
from xlift.evaluation.predict import PredictionRequest, compute_outputs
from xlift.models.backbone import save
from xlift.models.model import Model
from xlift.models.outputs import HeadSpec
from xlift.models.pretrained import silence_transformers
from xlift.recipes import Precision
from xlift.tasks import catalog, formats
from xlift.tasks.formats.features import Features
from xlift.tasks.formats.ragged import Ragged
from xlift.tasks.formats.retrieval import PairExample
from xlift.tasks.formats.span_scores import best_spans
from xlift.tasks.task import Task
from xlift.training.precision import autocast

PAD = 1
SUITES = {"nli": (15, 41.0, 0.45, 128), "qa": (7, 190.0, 0.3, 384)}
"""Number of languages, mean tokens, standard deviation of the log, maximal tokens."""
WORDS = 8000
"""Vocabulary size of the tokenizer trained on the sentences."""
Predictions = list[np.ndarray]


def make_rows(suite: str, rows: int, vocabulary: int) -> list[Features]:
    """Random rows for each language."""
    languages, mean, deviation, longest = SUITES[suite]
    rng = np.random.default_rng(1)
    parts = []
    for _ in range(languages):
        lengths = rng.lognormal(np.log(mean) - deviation**2 / 2, deviation, rows).round().clip(8, longest).astype(int)
        ids = Ragged.from_rows(np.r_[0, rng.integers(5, vocabulary, n - 2), 2] for n in lengths)
        parts.append(Features(ids, np.arange(rows), np.arange(rows)))
    return parts


def make_model(shape: BenchmarkShape, head: HeadSpec | None) -> Model:
    torch.manual_seed(0)
    encoder = Model(XLMRobertaModel(XLMRobertaConfig(**shape.config()), add_pooling_layer=False).eval())  # type: ignore[arg-type]
    if head is not None:
        encoder.add_head("head", head, seed=0)
        for parameter in encoder.heads.parameters():  # a new head predicts nearly the same for every input
            torch.nn.init.normal_(parameter, std=0.3)
    return encoder


def make_stock_model(encoder: Model, kind: str) -> Any:
    """The same weights in the transformers class that XTREME's scripts and Trainer use."""
    config: Any = encoder.backbone.config
    config.num_labels = 2 if kind == "span" else len(LABELS)
    maker = XLMRobertaForQuestionAnswering if kind == "span" else XLMRobertaForSequenceClassification
    model = maker(config)
    model.load_state_dict(encoder.stock_state_dict("head"))
    return model.eval()


def pad(features: Features, rows: Iterable[int], width: int | None) -> dict[str, torch.Tensor]:
    ids = features.input_ids.to_padded(np.array(list(rows)), PAD, width)
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy((ids != PAD).astype(np.int64))}


@torch.inference_mode()
def predict_in_loop(
    model: Any, parts: Sequence[Features], width: int | None, batch: int, kind: str, precision: Precision = "fp32"
) -> Predictions:
    """Predict language by language in data order, padded to `width` or to the longest row of a batch."""
    with autocast(precision, torch.device("cpu")):
        return _loop(model, parts, width, batch, kind)


def _loop(model: Any, parts: Sequence[Features], width: int | None, batch: int, kind: str) -> Predictions:
    answers = []
    for features in parts:
        found: list[Any] = []
        for at in range(0, len(features), batch):
            output = model(**pad(features, range(at, min(at + batch, len(features))), width))
            if kind == "sequence":
                found += output.logits.argmax(dim=-1).tolist()
            else:
                found += list(torch.stack([output.start_logits, output.end_logits], dim=1).float().numpy())
        answers.append(decode(features, found, kind))
    return answers


def decode(features: Features, outputs: list[Any], kind: str) -> np.ndarray:
    """Labels, or the first and last token of the best span of each window, without the first and last token of the
    row."""
    if kind == "sequence":
        return np.array(outputs)
    _, start, end = best_spans(outputs, np.ones(len(features), dtype=int), features.input_ids.lengths - 2)
    return np.stack([start, end], axis=1)


def predict_with_xlift(
    encoder: Model, task: Task, parts: Sequence[Features], kind: str, together: bool, precision: Precision = "fp32"
) -> Predictions:
    requests = [PredictionRequest([], features) for features in parts]
    groups = [requests] if together else [[request] for request in requests]
    outputs = [
        found for group in groups for found in compute_outputs(encoder, PAD, task, group, "head", precision=precision)
    ]
    return [decode(features, found, kind) for features, found in zip(parts, outputs, strict=True)]


def compare(
    title: str,
    contestants: dict[str, Callable[[], Any]],
    tokens: int,
    repeats: int,
    similarity: Callable[[Any, Any], float],
) -> None:
    """Print a table of seconds. The last contestant is xlift, with which the others are compared."""
    answers = {name: function() for name, function in contestants.items()}  # also the warm-up
    seconds = time_in_turns(contestants, repeats, warmups=0)
    best = list(contestants)[-1]
    rows = [
        (
            name,
            spread(own),
            spread([tokens / each for each in own], ",.0f"),
            spread(ratios(own, seconds[best])),
            f"{similarity(answers[name], answers[best]):.4f}",
        )
        for name, own in seconds.items()
    ]
    print(f"\n{title}, {tokens:,} real tokens\n")
    print(
        table(
            ("", "seconds", "real tokens per second", "relative to the last row", "predictions equal to the last row"),
            rows,
        )
    )


def share_equal(ours: Predictions, theirs: Predictions) -> float:
    one, other = (np.concatenate([np.atleast_2d(a.T).T.reshape(len(a), -1) for a in each]) for each in (ours, theirs))
    return float((one == other).all(axis=1).mean())


def run_suite(name: str, shape: BenchmarkShape, options: argparse.Namespace) -> None:
    languages, _, _, width = SUITES[name]
    kind, task = ("sequence", catalog.get("xnli")) if name == "nli" else ("span", catalog.get("xquad"))
    encoder = make_model(shape, HeadSpec(kind, LABELS if kind == "sequence" else ()))
    model, parts, batch = (
        make_stock_model(encoder, kind),
        make_rows(name, options.rows, shape.vocab_size),
        options.eval_batch,
    )
    contestants = {
        f"padded to {width}, batches of {batch} (XTREME)": lambda: predict_in_loop(model, parts, width, batch, kind),
        f"padded to the longest, batches of {batch} (HF Trainer)": lambda: predict_in_loop(
            model, parts, None, batch, kind
        ),
        "xlift, language by language": lambda: predict_with_xlift(encoder, task, parts, kind, together=False),
        "xlift, all languages in one pass": lambda: predict_with_xlift(encoder, task, parts, kind, together=True),
        f"bf16, padded to {width}, batches of {batch}": lambda: predict_in_loop(
            model, parts, width, batch, kind, "bf16"
        ),
        "bf16, xlift, all languages in one pass": lambda: predict_with_xlift(encoder, task, parts, kind, True, "bf16"),
    }
    tokens = sum(len(part.input_ids.values) for part in parts)
    title = f"{name}: {languages} languages of {options.rows} rows, {options.shape} shape"
    compare(title, contestants, tokens, options.repeats, share_equal)


def sentences(folder: Path, rows: int) -> dict[str, list[PairExample]]:
    """The first pairs of each language of Tatoeba."""
    pairs = {}
    for path in sorted(folder.glob("tatoeba.*-eng.*")):
        language = path.name.split(".")[1].removesuffix("-eng")
        if path.suffix == f".{language}":
            sides = (path, path.with_suffix(".eng"))
            lines = [side.read_text(encoding="utf-8").splitlines()[:rows] for side in sides]
            pairs[language] = [PairExample(str(n), *both) for n, both in enumerate(zip(*lines, strict=True))]
    return pairs


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A BPE tokenizer trained on the sentences, in place of XLM-R's."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.BpeTrainer(
        vocab_size=min(WORDS, vocabulary), limit_alphabet=3000, special_tokens=specials, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", cls_token="<s>", sep_token="</s>",
        model_input_names=["input_ids", "attention_mask"], model_max_length=512,
    )  # fmt: skip


def run_embeddings(shape: BenchmarkShape, options: argparse.Namespace) -> None:
    pairs = sentences(options.data / "tatoeba", options.rows)
    if not pairs:
        print(f"\nembeddings: skipped, no Tatoeba files in {options.data / 'tatoeba'}")
        return
    encoder, task = make_model(shape, None), catalog.get("tatoeba")
    every = [text for each in pairs.values() for pair in each for text in (pair.text, pair.translation)]
    tokenizer = train_tokenizer(every, shape.vocab_size)

    def vectors(together: bool, *layers: Any) -> Predictions:
        found = [
            (each, formats.get("retrieval").features(each, tokenizer, (), max_length=128, train=False))
            for each in pairs.values()
        ]
        ways = [PredictionRequest(each, features, {"layer": layer}) for each, features in found for layer in layers]
        groups = [ways] if together else [[way] for way in ways]
        return [array for group in groups for array in compute_outputs(encoder, PAD, task, group, "")]

    contestants: dict[str, Callable[[], Predictions]] = {}
    with tempfile.TemporaryDirectory() as folder:
        sentence_model = load_sentence_transformer(encoder, tokenizer, folder)
        if sentence_model is None:
            print("\nembeddings: sentence-transformers is skipped, as it is not installed")
        else:

            def encode() -> Predictions:
                texts = [[text for pair in each for text in (pair.text, pair.translation)] for each in pairs.values()]
                return [sentence_model.encode(each, batch_size=32, show_progress_bar=False) for each in texts]

            contestants["sentence-transformers, batches of 32"] = encode
        contestants["xlift, language by language"] = lambda: vectors(False, "last")
        contestants["xlift, layers 'official' and 'last' at once"] = lambda: vectors(True, "last", "official")[::2]
        contestants["xlift, layer 'official' alone"] = lambda: vectors(True, "official")
        contestants["xlift, all languages in one pass"] = lambda: vectors(True, "last")
        tokens = sum(len(ids) for ids in tokenizer(every, truncation=True, max_length=128)["input_ids"])
        title = f"embeddings: {len(pairs)} languages of {options.rows} pairs, {options.shape} shape, fp32, last layer"
        compare(title, contestants, tokens, options.repeats, share_close)
        print(
            "\nThe last column: share of vectors within 0.001 of those of the last row; another layer gives other vectors."
        )


def share_close(ours: Predictions, theirs: Predictions) -> float:
    return float(np.mean([np.abs(a - b).max(axis=1) < 1e-3 for a, b in zip(ours, theirs, strict=True)]))


def load_sentence_transformer(encoder: Model, tokenizer: PreTrainedTokenizerFast, folder: str) -> Any:
    """The model with mean pooling; None if sentence-transformers is not installed."""
    try:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    except ImportError:
        return None
    save(encoder, tokenizer, folder)
    with silence_transformers():
        read = Transformer(folder, max_seq_length=128)
    return SentenceTransformer(modules=[read, Pooling(encoder.backbone.config.hidden_size, "mean")], device="cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=tuple(SHAPES), default="base")
    parser.add_argument("--suite", nargs="+", choices=("nli", "qa", "embeddings"), default=["nli", "qa", "embeddings"])
    parser.add_argument("--rows", type=int, default=200, help="rows per language")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--eval-batch", type=int, default=8, help="batch size of the loops")
    parser.add_argument("--threads", type=int, default=0, help="default: torch's choice")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with tatoeba/")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    for name in options.suite:
        if name == "embeddings":
            run_embeddings(SHAPES[options.shape], options)
        else:
            run_suite(name, SHAPES[options.shape], options)


if __name__ == "__main__":
    main()
