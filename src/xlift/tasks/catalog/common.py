"""Helpers for declarations: languages per split, the Hub's conversions, the settings of the benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xlift.hub import PARQUET_BRANCH
from xlift.languages import canonical
from xlift.tasks.faults import Fault
from xlift.tasks.sources.hub import HubSource

Languages = tuple[str, ...]
ENGLISH: Languages = ("en",)


def split_codes(text: str) -> Languages:
    return tuple(text.split())


def in_splits(languages: Languages, *splits: str) -> dict[str, Languages]:
    """The same languages in every split."""
    return dict.fromkeys(splits, languages)


def map_codes(published: str) -> dict[str, str]:
    """Language -> FLORES-200 code ('swh_Latn'), for the codes in a text."""
    return {code: name for name in published.split() if (code := canonical(name))}


def hub(
    repository: str, config: str, splits: Mapping[str, str | tuple[str, ...]], languages: Languages, **options: Any
) -> HubSource:
    """A dataset of the Hub in the Hub's own conversion to Parquet, `CONFIG/SPLIT/0000.parquet`.

    The conversion exists whatever the repository holds (a script, JSON, Parquet), and always has the same layout.

    Args:
        config: name of the configuration, with {lang} for the language's code.
        splits: split -> its name on the Hub, or several names, read one after the other.
        languages: languages of every split.
        options: further fields of `HubSource`.
    """
    names = {split: (name,) if isinstance(name, str) else name for split, name in splits.items()}
    return HubSource(
        repository,
        files={split: tuple(f"{config}/{name}/*.parquet" for name in hub_names) for split, hub_names in names.items()},
        available=in_splits(languages, *splits),
        revision=PARQUET_BRANCH,
        **options,
    )


def xtreme(
    lr: float, large: float, epochs: int, max_length: int = 128, *, warmup_steps: float = 0.0, weight_decay: float = 0.0,
    batch_size: int = 32,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """What XTREME's `scripts/train_*.sh` set, for models of base size and for XLM-R large; linear decay, clipping at 1.

    Its warm-up on questions is 500 steps, which is longer than one of its runs on TyDi QA.
    """
    recipe = {"batch_size": batch_size, "epochs": epochs, "max_length": max_length, "warmup_steps": warmup_steps}
    recipe["weight_decay"] = weight_decay
    return {"xtreme": {"lr": lr, **recipe}, "xtreme-large": {"lr": large, **recipe}}


def jiant(epochs: int, max_length: int = 256, batch_size: int = 32) -> dict[str, dict[str, Any]]:
    """The settings of jiant's `scripts/benchmarks/xtreme`, for every model."""
    rest = {
        "batch_size": batch_size,
        "epochs": epochs,
        "max_length": max_length,
        "warmup_steps": 0.1,
        "weight_decay": 0.01,
    }
    return {"jiant": {"lr": 1e-5, **rest}}


INTERMEDIATE = jiant(3)
"""Settings of jiant's simple interface, which its guide to X-STILTs uses: the same for every intermediate task."""

MT5: dict[str, dict[str, Any]] = {
    "mt5": {
        "lr": 1e-3, "lr_scheduler_type": "constant", "warmup_steps": 0.0, "optimizer": "adafactor", "weight_decay": 0.0,
        "batch_size": 128, "max_length": 1024, "early_stopping": {"eval_steps": 200},
    },
}  # fmt: skip
"""Settings of mT5's fine-tuning on every task (Xue et al. 2021, 4.1), for text-to-text models: Adafactor at a constant rate,
batches of 2 ** 17 tokens (128 rows of T5's 1,024), and the best on dev of a checkpoint every 200 steps. The number of steps
is not given; their README's example of XNLI has 20,000. Dropout is that of the model config."""

REMOVED_LABELS = Fault(
    "removed-labels",
    "XTREME's scripts remove the labels",
    "https://github.com/google-research/xtreme/blob/master/utils_preprocess.py",
    all_rows_of=("test",),
)
"""Test files without labels are detected by their content (sources/removed_labels.py, sources/checking.py) and refused. The
message names the original, which is used instead of them if it is in the data folder."""

CHOICE_OF_LETTER = {"A": "0", "B": "1", "C": "2", "D": "3", "E": "4"}
CHOICE_FROM_ONE = {"1": "0", "2": "1", "3": "2", "4": "3"}
