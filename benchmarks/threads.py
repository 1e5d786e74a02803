"""Tokens per second of a pretraining step with the shape of the shipped encoder, by threads and precision, alone and in
pairs.

    python benchmarks/threads.py

Takes two minutes; run nothing else beside it. The results are the reason why jobs have one thread each and workers wait
passively (execution/worker.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

ROWS, TOKENS, SECONDS = 64, 24, 8.0


def measure(threads: int, bf16: bool) -> float:
    """Real tokens per second over `SECONDS`."""
    import torch
    from torch.nn import functional
    from transformers import AutoConfig, AutoModelForMaskedLM

    torch.set_num_threads(threads)
    config = AutoConfig.for_model(
        "modernbert", vocab_size=6000, hidden_size=128, num_hidden_layers=3, num_attention_heads=4,
        intermediate_size=256, max_position_embeddings=512, global_attn_every_n_layers=1,
        pad_token_id=1, bos_token_id=0, eos_token_id=2, cls_token_id=0, sep_token_id=2,
    )  # fmt: skip
    model = AutoModelForMaskedLM.from_config(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    input_ids = torch.randint(5, 6000, (ROWS, TOKENS))
    attention_mask = torch.ones_like(input_ids)
    is_masked = torch.rand(ROWS, TOKENS) < 0.25

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            hidden = model.base_model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            logits = model.decoder(model.head(hidden[is_masked]))
        functional.cross_entropy(logits.float(), input_ids[is_masked]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    for _ in range(5):
        step()
    start_time, steps = time.perf_counter(), 0
    while time.perf_counter() - start_time < SECONDS:
        step()
        steps += 1
    return steps * ROWS * TOKENS / (time.perf_counter() - start_time)


def measure_together(*runs: tuple[int, bool], passive: bool = False) -> list[int]:
    """Tokens per second of simultaneous runs, each in its own process."""
    environment = {**os.environ, **({"OMP_WAIT_POLICY": "PASSIVE"} if passive else {})}
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, str(threads), str(int(bf16))], stdout=subprocess.PIPE, env=environment
        )
        for threads, bf16 in runs
    ]
    return [int(float(process.communicate()[0])) for process in processes]


def main() -> None:
    if len(sys.argv) == 3:
        print(measure(int(sys.argv[1]), bool(int(sys.argv[2]))))
        return
    table = {
        "1 thread": measure_together((1, False)),
        "1 thread, bf16": measure_together((1, True)),
        "2 threads": measure_together((2, False)),
        "2 threads, bf16": measure_together((2, True)),
        "2 threads, passive": measure_together((2, False), passive=True),
        "1 beside 1": measure_together((1, False), (1, False)),
        "1 beside 2": measure_together((1, False), (2, False)),
        "1 beside 2, passive": measure_together((1, False), (2, False), passive=True),
    }
    print("| processes | tokens/s of each |\n| --- | --- |")
    for name, rates in table.items():
        print(f"| {name} | {' + '.join(f'{rate:,}' for rate in rates)} |")


if __name__ == "__main__":
    main()
