"""Phase one: a tokenizer and an encoder from nothing but text, by masked language modelling.

Documents that carry a translation are read as one sequence `<s> text </s></s> translation </s>`, so that a masked word
can be found in the other language (translation language modelling, Lample and Conneau 2019).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedModel, PreTrainedTokenizerFast

from xlift.recipes import Architecture, Masking, Recipe, TokenizerRecipe
from xlift.tasks.formats.text import FORMAT as TEXT
from xlift.tasks.formats.text import TextExample
from xlift.training.batches import like_lengths
from xlift.training.devices import Team
from xlift.training.loop import StepDone, Trained, run_steps
from xlift.training.masking import Masker, hide, word_loss
from xlift.training.progress import Progress

SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
"""In the order of XLM-R, whose ids 0 to 3 they take (its mask is the last id; ours is 4)."""
SENTENCE_END = re.compile(r"[.!?\u3002\uff01\uff1f\u061f\u0964]\s*(?=\S)")
"""Latin, Chinese, Arabic and Devanagari ends of sentences that are not the end of the text."""


def make_tokenizer(texts: Iterator[str], recipe: TokenizerRecipe) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with XLM-R's special tokens; the same text gives the same tokenizer.

    Byte-level BPE, since training WordPiece or Unigram numbers the same pieces differently from run to run.
    Pairs are `<s> A </s> </s> B </s>`, and offsets leave the blank before a word out.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocabulary,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    ids = [(token, SPECIAL_TOKENS.index(token)) for token in ("<s>", "</s>")]
    template = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=ids)
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), template])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", cls_token="<s>", eos_token="</s>", sep_token="</s>",
        unk_token="<unk>", pad_token="<pad>", mask_token="<mask>", add_prefix_space=True,
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def tokenizer_texts(parts: Sequence[Sequence[TextExample]], documents: int) -> Iterator[str]:
    """The first documents of every part in proportion to its size, about `documents` in all and at least 30 of each."""
    total = sum(map(len, parts))
    for part in parts:
        for example in part[: max(30, documents * len(part) // total)]:
            yield from TEXT.texts(example)


def cut_in_two(documents: Sequence[TextExample], share: float, seed: int) -> list[TextExample]:
    """A share of the single documents cut at the end of a sentence, to be read as pairs `<s> A </s></s> B </s>`.

    So the layout of a pair in one language is nothing new to the encoder when it is fine-tuned. (It made no measurable
    difference to inference: docs/log.md.) Documents of one sentence, and those with a translation, stay whole."""
    rng = np.random.default_rng([seed, 5])
    result = []
    for document, drawn in zip(documents, rng.random(len(documents)), strict=True):
        ends = [found.end() for found in SENTENCE_END.finditer(document.text)]
        if drawn < share and ends and document.translation is None:
            at = ends[int(drawn / share * len(ends))]
            document = TextExample(document.id, document.text[:at].rstrip(), document.text[at:])
        result.append(document)
    return result


def make_model(architecture: Architecture, tokenizer: PreTrainedTokenizerFast, seed: int) -> PreTrainedModel:
    """A masked language model with random weights, without dropout (no document is read often enough to need it)."""
    a = architecture
    common: dict[str, Any] = {
        "vocab_size": len(tokenizer), "hidden_size": a.hidden_size, "num_hidden_layers": a.layers,
        "num_attention_heads": a.heads, "intermediate_size": a.intermediate_size, "max_position_embeddings": a.max_positions,
        "pad_token_id": tokenizer.pad_token_id, "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
        "tie_word_embeddings": True,
    }  # fmt: skip
    if a.family == "modernbert":
        # With sequences this short every layer may as well look at the whole of them.
        family: dict[str, Any] = {"cls_token_id": tokenizer.cls_token_id, "sep_token_id": tokenizer.sep_token_id,
                                  "global_attn_every_n_layers": 1, "classifier_pooling": "mean"}  # fmt: skip
    else:
        family = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "type_vocab_size": 1}
        if a.family == "xlm-roberta":  # its positions are counted from pad_token_id + 1
            common["max_position_embeddings"] = a.max_positions + SPECIAL_TOKENS.index("<pad>") + 1
    torch.manual_seed(seed)
    return AutoModelForMaskedLM.from_config(AutoConfig.for_model(a.family, **common, **family))


def pretrain(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    rows: Sequence[np.ndarray],
    masking: Masking,
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train `model` in place on tokenized documents.

    Args:
        rows: one int array of `input_ids` per document, special tokens included.
        device: where to compute; the model is on the CPU again afterwards.
    """
    team = Team(device=device or torch.device("cpu"))
    model.to(team.device)  # pyright: ignore[reportArgumentType]
    lengths = np.array([len(row) for row in rows])
    steps = recipe.steps or max(1, round(recipe.epochs * len(rows) / recipe.batch_size))
    batches = like_lengths(lengths, recipe.batch_size, steps, seed)
    masker = Masker(masking, tokenizer)

    def gradients(number: int) -> StepDone:
        chosen = [rows[i] for i in batches[number]]
        original = np.full((len(chosen), max(map(len, chosen))), tokenizer.pad_token_id, dtype=np.int64)
        for i, row in enumerate(chosen):
            original[i, : len(row)] = row
        attention_mask = torch.from_numpy((original != tokenizer.pad_token_id).astype(np.int64))
        masked, labels = hide(torch.from_numpy(original), masker, seed=seed, step=number)
        attention_mask, masked, labels = (each.to(team.device) for each in (attention_mask, masked, labels))
        hidden = model.base_model(input_ids=masked, attention_mask=attention_mask).last_hidden_state
        loss = word_loss(hidden, labels, lambda hidden: _language_head(model, hidden), len(masker.ordinary))
        mean = loss.total / loss.count.clamp(min=1)
        mean.backward()
        return StepDone(mean.item(), int(attention_mask.sum()))

    trained = run_steps(model, steps, gradients, recipe, seed=seed, folder=folder, progress=progress, team=team)
    model.to("cpu")  # pyright: ignore[reportArgumentType]
    return trained


def _language_head(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    """The stock class's head on chosen positions only (the stock forward would score every position)."""
    stock: Any = model
    if hasattr(stock, "lm_head"):  # XLM-R
        return stock.lm_head(hidden)
    if hasattr(stock, "cls"):  # BERT
        return stock.cls(hidden)
    return stock.decoder(stock.head(hidden))  # ModernBERT
