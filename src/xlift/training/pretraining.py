"""Pretraining: train a tokenizer and a model of any family from text alone (training/objectives.py has the objectives).

A document with a translation is read as one sequence `<s> text </s></s> translation </s>`, so that a masked token can be
predicted from the other language (translation language modelling, Lample and Conneau 2019). A decoder reads
`<s> text </s> translation </s>`. An encoder-decoder model reads `text </s> translation </s>`, or reads one half and writes
the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from xlift.model_families import Family, traits_of
from xlift.recipes import Architecture, Masking, Recipe, TokenizerRecipe, Written
from xlift.tasks.formats.text import FORMAT as TEXT
from xlift.tasks.formats.text import TextExample
from xlift.training.batches import length_grouped_batches
from xlift.training.devices import ProcessGroup
from xlift.training.loop import StepOutput, TrainOutput, run_training_loop
from xlift.training.objectives import make_objective
from xlift.training.progress import Progress

SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
"""In the order of XLM-R, with the same ids 0 to 3. (XLM-R's mask is its last id; here it is 4.)"""
NUM_SENTINELS = 32
"""Sentinel tokens <extra_id_0> and so on of an encoder-decoder model, one per span to write. A row of 640 tokens needs 32."""
_DECODER_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")
_SEQ2SEQ_TOKENS = ("<pad>", "</s>", "<unk>", *(f"<extra_id_{i}>" for i in range(NUM_SENTINELS)))
SENTENCE_END = re.compile(r"[.!?\u3002\uff01\uff1f\u061f\u0964]\s*(?=\S)")
"""Sentence ends in Latin, Chinese, Arabic and Devanagari script, except at the end of the text."""


def train_tokenizer(
    texts: Iterator[str], recipe: TokenizerRecipe, family: Family = "encoder"
) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer. The same text gives the same tokenizer.

    It is byte-level BPE because WordPiece and Unigram trainers number the same pieces differently from run to run. Offsets
    exclude the space before a word. An encoder's tokenizer has XLM-R's special tokens, and pairs are
    `<s> A </s> </s> B </s>`. A decoder's rows begin with `<s>` and have no end token. An encoder-decoder model's rows are
    those of T5.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    specials, single, pair = {
        "encoder": (SPECIAL_TOKENS, "<s> $A </s>", "<s> $A </s> </s> $B </s>"),
        "decoder": (_DECODER_TOKENS, "<s> $A", "<s> $A </s> $B"),
        "seq2seq": (_SEQ2SEQ_TOKENS, "$A </s>", "$A </s> $B </s>"),
    }[family]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocabulary,
        special_tokens=list(specials),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    ids = [(token, specials.index(token)) for token in ("<s>", "</s>") if token in specials]
    template = processors.TemplateProcessing(single=single, pair=pair, special_tokens=ids)
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), template])
    roles: dict[str, Any] = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    if family == "encoder":
        roles = {
            "bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>",
            "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>",
        }  # fmt: skip
    elif family == "decoder":
        roles["bos_token"] = "<s>"
    else:
        roles["extra_special_tokens"] = list(_SEQ2SEQ_TOKENS[3:])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, add_prefix_space=True, model_input_names=["input_ids", "attention_mask"], **roles
    )


def tokenizer_texts(parts: Sequence[Sequence[TextExample]], documents: int) -> Iterator[str]:
    """The first documents of every part, in proportion to its size: about `documents` in all, and at least 30 of each."""
    total = sum(map(len, parts))
    for part in parts:
        for example in part[: max(30, documents * len(part) // total)]:
            yield from TEXT.texts(example)


def split_documents(documents: Sequence[TextExample], share: float, seed: int) -> list[TextExample]:
    """Split a share of the documents without translation at the end of a sentence, into pairs `<s> A </s></s> B </s>`.

    So the encoder sees pairs in one language before it is fine-tuned. (This made no measurable difference to NLI:
    docs/log.md.) Documents of one sentence, and those with a translation, stay whole."""
    rng = np.random.default_rng([seed, 5])
    result = []
    for document, draw in zip(documents, rng.random(len(documents)), strict=True):
        ends = [match.end() for match in SENTENCE_END.finditer(document.text)]
        if draw < share and ends and document.translation is None:
            at = ends[int(draw / share * len(ends))]
            document = TextExample(document.id, document.text[:at].rstrip(), document.text[at:])
        result.append(document)
    return result


def create_model(architecture: Architecture, tokenizer: PreTrainedTokenizerFast, seed: int) -> PreTrainedModel:
    """Create a language model with random weights. It has no dropout, since no document is read often enough to need it. A
    model that writes shares its input embeddings with its output layer."""
    a, traits = architecture, traits_of(architecture.family)
    common: dict[str, Any] = {
        "vocab_size": len(tokenizer), "hidden_size": a.hidden_size, "num_hidden_layers": a.layers,
        "num_attention_heads": a.heads, "intermediate_size": a.intermediate_size, "max_position_embeddings": a.max_positions,
        "pad_token_id": tokenizer.pad_token_id, "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
        "tie_word_embeddings": True,
    }  # fmt: skip
    if traits.family == "seq2seq":
        return _create_t5(a, tokenizer, seed)
    if traits.family == "decoder":
        common |= {"num_key_value_heads": a.heads, "head_dim": a.hidden_size // a.heads}
    if traits.positions_follow_padding:
        common["max_position_embeddings"] = a.max_positions + SPECIAL_TOKENS.index("<pad>") + 1
    config_class: Any = CONFIG_MAPPING[a.family]
    for name in ("cls_token_id", "sep_token_id"):
        if hasattr(config_class, name):
            common[name] = getattr(tokenizer, name)
    torch.manual_seed(seed)
    auto_class: Any = AutoModelForCausalLM if traits.family == "decoder" else AutoModelForMaskedLM
    return auto_class.from_config(config_class(**common, **traits.new_model), trust_remote_code=False)


def _create_t5(a: Architecture, tokenizer: PreTrainedTokenizerFast, seed: int) -> PreTrainedModel:
    """Create a model of a variant of T5, whose encoder and decoder have `layers` layers each."""
    config = AutoConfig.for_model(
        a.family, vocab_size=len(tokenizer), d_model=a.hidden_size, d_kv=a.hidden_size // a.heads, d_ff=a.intermediate_size,
        num_layers=a.layers, num_heads=a.heads, dropout_rate=0.0, pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id, decoder_start_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    torch.manual_seed(seed)
    model: Any = AutoModelForSeq2SeqLM.from_config(config, trust_remote_code=False)
    # mT5's std of 1.0 is for a separate output layer; with a shared table the logits would have a std of sqrt(width)
    torch.nn.init.normal_(model.shared.weight, std=a.hidden_size**-0.5)
    for stack, bidirectional in ((model.encoder, True), (model.decoder, False)):
        _init_position_bias(stack.block[0].layer[0].SelfAttention.relative_attention_bias.weight, bidirectional)
    return model


def _init_position_bias(bias: torch.Tensor, bidirectional: bool) -> None:
    """Initialize each head except the last to attend to a neighbour, each head with a quarter of the previous head's slope.

    These numbers are mT5's only position information. The standard initialization is near zero, and at usual learning rates
    it takes thousands of steps until a head finds the previous token, which copying needs (docs/log.md). Slopes that fall
    from head to head are those of Press et al. (2022).

    Args:
        bias: (buckets, heads), changed in place. Buckets are distances: first to the left, then, if `bidirectional`, to the
            right.
    """
    num_sides = 2 if bidirectional else 1
    distances = torch.arange(len(bias) // num_sides)
    with torch.no_grad():
        for head in range(bias.shape[1]):
            slope = 4.0 ** (1 - head) if head < bias.shape[1] - 1 else 0.0
            from_neighbour = [
                (distances - 1).abs() if side == head % num_sides else distances + 1 for side in range(num_sides)
            ]
            bias[:, head] = (-slope * torch.cat(from_neighbour)).clamp(min=-8.0)


def pretrain(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    rows: Sequence[np.ndarray],
    masking: Masking,
    recipe: Recipe,
    *,
    writes: Written = "spans",
    seed: int,
    device: torch.device | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> TrainOutput:
    """Train `model` in place on tokenized documents.

    Args:
        rows: one int array of `input_ids` per document, with special tokens.
        device: where to compute; afterwards the model is on the CPU.
    """
    process_group = ProcessGroup(device=device or torch.device("cpu"))
    model.to(process_group.device)  # pyright: ignore[reportArgumentType]
    lengths = np.array([len(row) for row in rows])
    max_steps = recipe.count_pretraining_steps(len(rows))
    batches = length_grouped_batches(lengths, recipe.batch_size, max_steps, seed)
    objective = make_objective(model, tokenizer, masking, writes, seed=seed, device=process_group.device)

    def training_step(step: int) -> StepOutput:
        loss, num_tokens = objective([rows[i] for i in batches[step]], step)
        mean = loss.total / loss.count.clamp(min=1)
        mean.backward()
        return StepOutput(mean.item(), num_tokens)

    output = run_training_loop(
        model,
        max_steps,
        training_step,
        recipe,
        seed=seed,
        folder=folder,
        progress=progress,
        process_group=process_group,
    )
    model.to("cpu")  # pyright: ignore[reportArgumentType]
    return output
