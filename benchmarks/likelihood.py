"""Choosing among candidate answers by likelihood: one pass over all answers of a row against loops over answers.

    python -m benchmarks.likelihood [--family qwen3 mt5] [--width 256] [--rows 64] [--answers 3] [--tokens 100]
    [--repeats 3]

Run nothing else beside it. A random model of four layers scores rows of random tokens with lognormal lengths around
--tokens. The contestants run in turns in one process, and their scores are compared:

- one (row, answer) at a time with the transformers class and full logits, as in a naive loop;
- batches of 8 (row, answer) pairs in the order of the data, padded to the longest, with full logits, as in evaluation
  harnesses;
- xlift: rows sorted by length, each source computed once for all of its answers, logits only at answer positions.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

from benchmarks.timing import ratios, spread, table, time_in_turns
from xlift.models.model import Model
from xlift.models.text_mode import candidate_scores
from xlift.recipes import TOKENS_PER_BATCH
from xlift.training.batches import split_into_micro_batches

LAYERS, VOCABULARY, BATCH = 4, 32_000, 8


def make_model(family: str, width: int) -> Model:
    torch.manual_seed(0)
    if family == "mt5":
        config = AutoConfig.for_model(
            family,
            vocab_size=VOCABULARY,
            d_model=width,
            d_ff=2 * width,
            d_kv=64,
            num_heads=width // 64,
            num_layers=LAYERS,
        )
        return Model(AutoModelForSeq2SeqLM.from_config(config).eval())
    heads = {"num_attention_heads": width // 64, "num_key_value_heads": width // 64, "head_dim": 64}
    sizes = {
        "hidden_size": width,
        "intermediate_size": 3 * width,
        "num_hidden_layers": LAYERS,
        "vocab_size": VOCABULARY,
    }
    return Model(AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **sizes, **heads)).eval())


def pad(rows: list[np.ndarray], fill: int) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence(
        [torch.from_numpy(row) for row in rows], batch_first=True, padding_value=fill
    )


def score_with_transformers(model: Model, pairs: list[tuple[np.ndarray, np.ndarray]], batch: int) -> np.ndarray:
    """Log likelihoods of (source, answer) pairs with the transformers class."""
    backbone: Any = model.backbone
    scores_by_pair: list[float] = []
    for start in range(0, len(pairs), batch):
        some = pairs[start : start + batch]
        if model.family == "seq2seq":
            sources, labels = pad([source for source, _ in some], 0), pad([answer for _, answer in some], -100)
            mask = pad([np.ones_like(source) for source, _ in some], 0)
            scores = backbone(input_ids=sources, attention_mask=mask, labels=labels).logits.log_softmax(-1)
        else:
            whole = pad([np.concatenate(pair) for pair in some], 0)
            mask = pad([np.ones(len(source) + len(answer), int) for source, answer in some], 0)
            scores = backbone(input_ids=whole, attention_mask=mask).logits[:, :-1].log_softmax(-1)
            labels = whole[:, 1:].clone()
            for row, (source, answer) in enumerate(some):
                labels[row, : len(source) - 1] = -100
                labels[row, len(source) + len(answer) - 1 :] = -100
        each = scores.gather(2, labels.clamp(min=0)[..., None])[..., 0].masked_fill(labels < 0, 0)
        scores_by_pair += each.sum(1).tolist()
    return np.array(scores_by_pair)


def score_with_xlift(model: Model, sources: list[np.ndarray], answers: list[list[np.ndarray]]) -> np.ndarray:
    lengths = np.array([len(source) + sum(map(len, given)) for source, given in zip(sources, answers, strict=True)])
    scores_by_row: list[Any] = [None] * len(sources)
    for rows in split_into_micro_batches(np.arange(len(sources)), lengths, TOKENS_PER_BATCH, packed=False):
        scores = candidate_scores(model, [sources[row] for row in rows], [answers[row] for row in rows], 0)
        for row, each in zip(rows.tolist(), scores, strict=True):
            scores_by_row[row] = each
    return np.concatenate(scores_by_row)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", nargs="+", default=["qwen3", "mt5"])
    for name, default in (("width", 256), ("rows", 64), ("answers", 3), ("tokens", 100), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(np.log(options.tokens), 0.4, options.rows), 8, 4 * options.tokens).astype(int)
    sources = [rng.integers(5, VOCABULARY, size=length) for length in lengths]
    answers = [[rng.integers(5, VOCABULARY, size=rng.integers(2, 5)) for _ in range(options.answers)] for _ in sources]
    pairs = [(source, answer) for source, given in zip(sources, answers, strict=True) for answer in given]
    for family in options.family:
        model = make_model(family, options.width)
        contestants = {
            "one pair at a time": lambda model=model: score_with_transformers(model, pairs, 1),
            f"batches of {BATCH} pairs": lambda model=model: score_with_transformers(model, pairs, BATCH),
            "xlift": lambda model=model: score_with_xlift(model, sources, answers),
        }
        expected = contestants["one pair at a time"]()
        for name, contestant in contestants.items():
            print(f"{family}, {name}: scores differ by at most {np.abs(contestant() - expected).max():.1e}")
        seconds = time_in_turns(contestants, options.repeats)
        rows = [
            (name, spread(times), spread(ratios(times, seconds["xlift"]), ",.1f")) for name, times in seconds.items()
        ]
        print(table((family, "seconds", "relative to xlift"), rows))


if __name__ == "__main__":
    main()
