"""Small inputs of each kind, valid, that a fuzz campaign damages: studies, a finished store, its bundle, submissions, a model."""

from __future__ import annotations

import io
import json
import random
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

from tests.support import declarations, fakes, model_folders

from xlift import cli

GENERATED = """\
name: rich
title: A study of everything
question: Does it hold?
models:
  - model
  - {name: second, model: decoder, mode: head, training: {lr: 0.0001}, classifier_pooling: last}
seeds: [1, 2]
training: {lr: 5e-4, batch_size: 8, max_steps: 6, max_length: 64, retries: 1, target: {epochs: 2, early_stopping: {eval_steps: 2, patience: 1}}}
intermediate:
  - none
  - {task: isle-qa, language: [qta, qka], size: [40, 80], controls: [steps, shuffled]}
  - name: both
    sampling: {rule: temperature, temperature: 2.0}
    mixture:
      - {task: isle-qa, size: 40}
      - {task: isle-paraphrase, size: 30, noise: {kind: typos, level: 0.1}}
    text: {task: isle-text, language: [qta], size: 50, share: 0.3}
  - name: staged
    stages:
      - {mixture: [{task: isle-pos, size: 24}]}
      - {mixture: [{task: isle-nli, size: 24}], training: {lora: {rank: 4}}}
targets:
  - {task: isle-nli, train: {size: 50}, languages: [qta, qtu], size: 12, noise: {kind: typos, level: 0.2}}
  - {task: isle-pos, name: tags, train: {size: 20}, size: 10, training: {lr: [1e-4, 2e-4]}}
  - {task: isle-retrieval, languages: [qtu], size: 12, options: {layer: last}}
claims:
  claims:
    - {name: qa-lifts, text: QA lifts NLI., lift: "isle-qa,qta,40", target: isle-nli}
    - {name: tasks, text: One task., fact: target-tasks, at_least: 1}
"""
PROMPTS = """\
models: [{model: decoder, mode: text, prompt: {num_fewshot: 2, num_beams: 1}, engine: {threads: 1}}]
languages: [qta, qtu]
prompt: {template: v1, instructions: en}
intermediate: [none, {task: isle-nli, size: 20}]
targets:
  - {task: isle-nli, train: false, size: 10}
  - {task: isle-reading, train: {size: 10}, size: 10, prompt: {normalize: false}}
engine: {threads: 1}
"""
PRETRAINED = """\
models:
  - name: small
    pretrain:
      text: [{task: isle-text, size: {qta: 30, qtm: 21}}, {task: isle-parallel, size: {qta: 18}}]
      tokenizer: {vocabulary: 300, documents: 100}
      architecture: {family: qwen3, layers: 1, hidden_size: 16, intermediate_size: 32, heads: 2, max_positions: 64}
      training: {lr: 0.003, batch_size: 4, epochs: 1, warmup_steps: 0.04, max_length: 32}
      seed: 1
targets:
  - {task: isle-nli, train: {size: 20}, size: 10}
keep: predictions
"""
TASKS = """\
models: [model]
data: data
intermediate: [none, {task: own-spans}]
targets:
  - {task: own-labels, train: {}}
  - {task: own-tags, train: {}}
  - {task: own-choices, train: {}}
tasks:
  - {name: own-labels, format: classification, files: {train: {en: classification.jsonl}, test: {de: classification2.jsonl}}, labels: [a, b], columns: {text_a: text}}
  - {name: own-tags, format: tagging, files: {train: {en: tagging.jsonl}, test: {de: tagging2.jsonl}}, licence: CC0, note: made up}
  - {name: own-choices, format: multiple-choice, files: {train: {en: multiple-choice.csv}, test: {de: multiple-choice.csv}}, columns: {choices: [choice1, choice2]}}
  - {name: own-spans, format: span-qa, files: {train: {en: squad.json}}}
"""
STUDIES = {"rich": GENERATED, "prompts": PROMPTS, "pretrained": PRETRAINED, "tasks": TASKS}
FINISHED = """\
models: [model]
seeds: [1, 2]
intermediate:
  - none
  - {task: isle-qa, size: 100}
targets:
  - {task: isle-nli, train: {size: 50}, languages: [qta, qtu], size: 12, noise: {kind: typos, level: 0.2}}
  - {task: isle-retrieval, languages: [qtu], size: 12}
claims:
  claims:
    - {name: qa-lifts, text: QA lifts NLI., lift: isle-qa, target: isle-nli}
    - {name: tasks, text: Two tasks., fact: target-tasks, equals: 2}
"""
CLAIMS = """\
question: Does an intermediate task lift?
source: [phang-etal-2020-english]
delta: {mean: 1.0, language: 2.0}
claims:
  - {name: qa-lifts, text: QA lifts NLI., lift: squad, target: xnli, languages: all}
  - {name: better, text: QA is better., contrast: [squad, none], target: [xnli], at_least: 1}
  - {name: tasks, text: Two tasks., fact: target-tasks, equals: 2}
  - {name: groups, text: Groups differ., interaction: {rows: [squad, none], languages: [[qta], [qtu]]}, delta: 3}
"""
EVIDENCE = """\
title: Published results
entries:
  - &first {name: one, row: squad, target: xnli, value: 81.4, metric: accuracy, model: xlm-r-base, source: phang-etal-2020-english, table: 2, accepted: true}
  - {<<: *first, name: two, row: none, value: 79.2}
  - {name: lift, quantity: lift, row: squad, target: xnli, metric: accuracy, source: phang-etal-2020-english, terms: {one: 1, two: -1}}
  - {name: said, statement: It helps., claims: [x/qa-lifts], bears: supports, source: phang-etal-2020-english, table: abstract, quote: helps, accepted: true}
"""
SUBMISSION_TASKS = ("xnli", "panx", "bucc2018", "xquad", "tatoeba")


def write_studies(folder: Path) -> None:
    """A study of each kind, with its models, data and claims."""
    for name, text in STUDIES.items():
        fakes.study_file(folder, text, f"{name}.yaml")
    model_folders.family_folder(folder / "decoder", "decoder")
    (folder / "data").mkdir()
    files = declarations.FILES | {
        "classification2.jsonl": '{"text": "rot", "label": "a"}\n{"text": "blau", "label": "b"}\n',
        "tagging2.jsonl": '{"words": ["rot"], "tags": ["B-PER"]}\n',
    }
    for name, text in files.items():
        (folder / "data" / name).write_text(text, encoding="utf-8")
    (folder / "claims.yaml").write_text(CLAIMS, encoding="utf-8")
    (folder / "evidence.yaml").write_text(EVIDENCE, encoding="utf-8")


def write_store(folder: Path) -> None:
    """`study.yaml`, its finished store `s` with numbers of every kind, and its bundles `b.zip` and `b`."""
    from xlift.studies.bundle import export_results

    numbers: dict[str, dict[str, Any]] = {
        "train": {
            "examples": 50, "tokens": 900, "steps": 6, "loss": 0.7, "loss_curve": [(2, 1.1), (4, 0.9), (6, 0.7)], "precision": "fp32",
            "attempts": 2, "lr": 1e-4, "dev_score": 0.5, "dev_curve": [(3, 0.4), (6, 0.5)], "threads": 1, "collapsed": False,
        },
        "predict": {"examples": 12, "tokens": 200, "noise_texts": 12, "noise_words": 80, "noise_changeable": 70, "noise_changed": 14},
    }  # fmt: skip
    path = fakes.study_file(folder, FINISHED)
    plan, store = fakes.finished_study(path, folder / "s", numbers=lambda job: numbers[job.kind])
    key = next(key for key, job in plan.jobs.items() if job.kind == "train")
    store.release(key)
    (store.partial("0" * 64) / "checkpoint").write_bytes(b"x" * 20)
    with redirect_stdout(io.StringIO()), suppress(SystemExit):
        cli.app(["contamination", str(path), "--store", str(store.root)])
    for name in ("b.zip", "b"):
        export_results(store, "study", folder / name)


def write_submission(folder: Path) -> None:
    """Random predictions and labels of XTREME in some tasks."""
    from tests.suites.random_folders import write_folders

    from xlift.suites import definitions

    write_folders(folder, definitions.XTREME, 1, SUBMISSION_TASKS)
    for side in ("predictions", "labels"):
        for task in SUBMISSION_TASKS:
            for path in sorted((folder / side / task).iterdir())[3:]:
                path.unlink()


def write_model(folder: Path) -> None:
    """An exported classifier `m` of three labels, a translator `t`, and rows to predict."""
    from tests.test_cli_predict import model, translator

    model(
        folder / "m", calibration={"temperature": 1.5}, optional_fields={"text_b": False}, provenance={"task": "task"}
    )
    translator(folder / "t")
    (folder / "m" / "README.md").write_text(
        "---\nlanguage: [en, de]\nlicense: cc0-1.0\n---\n# A model\n", encoding="utf-8"
    )
    dice = random.Random(1)
    rows = [
        {"id": n, "text": " ".join(dice.choices(["the", "old", "man", "Paris", "=1+1"], k=4)), "note": "x"}
        for n in range(4)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "rows.csv").write_text(
        "id,text\n" + "".join(f"{row['id']},{row['text']}\n" for row in rows), encoding="utf-8"
    )
    (folder / "rows.txt").write_text("the old man\n\nParis\n", encoding="utf-8")
