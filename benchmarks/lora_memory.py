"""Memory and step time of LoRA on a decoder of half a billion parameters on a CPU.

    python -m benchmarks.lora_memory [--json] [--steps 4] [--rank 8] [--way lora|recast|full] [--mode text|head]

A random model of Qwen3-0.6B's shape (28 layers of 1,024, tied embeddings of 151,936 tokens), in bf16 files as on the
Hub, is loaded, trained as in a stage, in bf16, on batches of 8 rows of about 64 tokens, and saved. `recast`: LoRA with
frozen weights in float32, which are cast for every micro-batch; `full`: every weight is trained and nothing is saved.
The peak is that of the process as the kernel reports it, with interpreter, libraries and mapped files. The limit that
the project has set is 6 GB.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen3Config

from benchmarks.timing import peak_megabytes
from xlift.models import adapters, backbone
from xlift.models.delta import ParentModel, StoredModel
from xlift.models.text_mode import TEXT
from xlift.models.weight_transfer import transfer_weights
from xlift.recipes import Engine, Lora, Recipe, Sampling
from xlift.tasks import catalog
from xlift.tasks.formats.features import IGNORE_INDEX, Features
from xlift.tasks.formats.ragged import Ragged
from xlift.training import stage
from xlift.training.progress import Progress

SHAPE = {
    "vocab_size": 151_936, "hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8,
    "head_dim": 128, "intermediate_size": 3072, "tie_word_embeddings": True,
}  # fmt: skip
ROWS, ANSWER = 8, 4
SEED = 1


def make(folder: str) -> None:
    """Save the model and a tokenizer of a few words, which is not used."""
    torch.manual_seed(SEED)
    AutoModelForCausalLM.from_config(Qwen3Config(**SHAPE)).to(torch.bfloat16).save_pretrained(folder)
    words = Tokenizer(models.WordLevel({"<unk>": 0, "</s>": 1, "word": 2, "other": 3}, unk_token="<unk>"))
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", eos_token="</s>").save_pretrained(folder)


def features(steps: int, is_text_mode: bool) -> Features:
    """Rows of 48 to 80 random tokens. The last four are the answer, or each row has a label."""
    generator = np.random.default_rng(SEED)
    count = steps * ROWS
    rows = [
        generator.integers(10, SHAPE["vocab_size"], generator.integers(48, 81)).astype(np.int32) for _ in range(count)
    ]
    each = np.arange(count)
    if not is_text_mode:
        return Features(Ragged.from_rows(rows), each, each, targets={"label": generator.integers(0, 3, count)})
    labels = [row.copy() for row in rows]
    for label in labels:
        label[:-ANSWER] = IGNORE_INDEX
    return Features(Ragged.from_rows(rows), each, each, targets={"label": Ragged.from_rows(labels)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--steps", type=int, default=4, help="timed steps, after one warm-up step; 0 measures memory alone"
    )
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--way", choices=["lora", "recast", "full"], default="lora")
    parser.add_argument("--mode", choices=["text", "head"], default="text")
    parser.add_argument("--budget", type=int, default=None, help="tokens per micro-batch; default: from the memory")
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--json", action="store_true", help="print a last line of JSON")
    parser.add_argument("--folder", help=argparse.SUPPRESS)  # internal
    parser.add_argument("--make", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        return make(options.make)
    if not options.folder:  # another process makes the model, so that making it does not count in the peak
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "benchmarks.lora_memory"]
            subprocess.run([*command, "--make", f"{folder}/model"], check=True)
            sys.exit(subprocess.run([*command, *sys.argv[1:], "--folder", folder]).returncode)

    is_text_mode, task = options.mode == "text", catalog.get("isle-nli")
    lora = None if options.way == "full" else Lora(rank=options.rank)
    folder = Path(options.folder)
    stored = StoredModel(folder / "model")
    model, tokenizer = backbone.load_without_heads(stored)
    stage.add_heads(model, [task], SEED, TEXT if is_text_mode else "")
    transfer_weights(model, stored)
    if lora:
        adapters.add(model, lora, SEED)
    if options.way == "recast":
        stage.round_frozen = lambda model: None
    loaded = peak_megabytes()
    ends: list[float] = []
    recipe = Recipe(lr=1e-4, batch_size=ROWS, max_steps=options.steps + 1, precision="bf16", lora=lora)
    engine = Engine(token_budget=options.budget, gradient_checkpointing=options.checkpointing, device="cpu")
    trained = stage.fine_tune(
        model, 0, [stage.TrainDataset(task, features(options.steps + 1, is_text_mode), TEXT if is_text_mode else "")], recipe, Sampling(),
        seed=SEED, engine=engine, progress=Progress(lambda *_: ends.append(time.perf_counter())),
    )  # fmt: skip
    trained_mb = peak_megabytes()
    if lora:
        backbone.save_adapter_delta(model, tokenizer, folder / "artifact", stored, ParentModel(fingerprint="random"))
    results = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "trained": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "loaded_mb": loaded,
        "trained_mb": trained_mb,
        "stored_mb": sum(path.stat().st_size for path in folder.glob("artifact/*.safetensors")) / 2**20,
        "peak_mb": peak_megabytes(),
        "seconds": sum(b - a for a, b in pairwise(ends)) / (len(ends) - 1) if len(ends) > 1 else 0.0,
        "budget": trained.token_budget,
        "threads": torch.get_num_threads(),
    }
    print(
        f"{results['parameters'] / 1e6:,.0f}M parameters, {results['trained'] / 1e6:,.1f}M trained; at most {results['loaded_mb']:,.0f} MB "
        f"when loaded, {results['trained_mb']:,.0f} MB when trained, {results['peak_mb']:,.0f} MB when stored ({results['stored_mb']:,.1f} MB); "
        f"{results['seconds']:.2f} s a step, up to {results['budget']:,} tokens at once, {results['threads']} threads"
    )
    if options.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
