"""Choose the examples of each optimizer step and make tensors of them.

The schedule of a stage depends only on sizes, recipe and seed, and is made before the first step. To resume at step n,
only n is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from xlift.models.packing import LENGTHS
from xlift.recipes import Recipe, Sampling, TextShare
from xlift.steps import divide_steps
from xlift.tasks.formats.features import IGNORE_INDEX, Features
from xlift.tasks.formats.ragged import Ragged

OUTPUT = "output"
"""Name of the target that the decoder writes. Its width differs from that of the inputs."""


@dataclass(frozen=True)
class Step:
    """One optimizer step: units of one part of the mixture."""

    part: int
    """Index of the part in the mixture."""
    units: np.ndarray


def make_schedule(
    sizes: Sequence[int],
    recipe: Recipe,
    sampling: Sampling,
    seed: int,
    *,
    weights: Sequence[float] = (),
    text_sizes: Sequence[int] = (),
    text_share: TextShare | None = None,
) -> list[Step]:
    """Build every step of a stage.

    Each part is read in a new random order in each pass. The parts' shares of the steps follow the sampling rule exactly
    (largest remainders), in random order.

    Args:
        sizes, weights, text_sizes, text_share: as in `steps.divide_steps`.
    """
    divided = divide_steps(sizes, recipe, sampling, weights, text_sizes, text_share)
    counts = np.concatenate([_round_steps(exact) for exact in divided])
    rng = np.random.default_rng([seed, 1])
    all_sizes = [*sizes, *text_sizes]
    order = rng.permutation(np.repeat(np.arange(len(all_sizes)), counts))
    samplers = [
        _UnitSampler(n, recipe.batch_size, np.random.default_rng([seed, 2, part])) for part, n in enumerate(all_sizes)
    ]
    return [Step(int(part), samplers[part].next_batch()) for part in order]


def _round_steps(exact: np.ndarray) -> np.ndarray:
    """Whole numbers within 1 of the exact shares, with the same sum (largest remainders)."""
    counts = np.floor(exact).astype(int)
    for part in np.argsort(-(exact - counts), kind="stable")[: round(exact.sum()) - counts.sum()]:
        counts[part] += 1
    return counts


class _UnitSampler:
    """Batches of unit numbers, one permutation after another. A batch has no unit twice within one pass."""

    def __init__(self, size: int, batch_size: int, rng: np.random.Generator) -> None:
        self.size, self.batch_size, self.rng = size, batch_size, rng
        self.order = np.empty(0, dtype=int)

    def next_batch(self) -> np.ndarray:
        if len(self.order) == 0:
            self.order = self.rng.permutation(self.size)
        batch, self.order = self.order[: self.batch_size], self.order[self.batch_size :]
        return batch


def length_grouped_batches(lengths: np.ndarray, batch_size: int, steps: int, seed: int) -> list[np.ndarray]:
    """Batches of rows of similar length, for pretraining, where the number of documents is large.

    Rows are sorted by length within blocks of 32 batches. The batches of a block are then shuffled."""
    rng = np.random.default_rng([seed, 3])
    batches: list[np.ndarray] = []
    while len(batches) < steps:
        order = rng.permutation(len(lengths))
        for start in range(0, len(order), 32 * batch_size):
            block = order[start : start + 32 * batch_size]
            block = block[np.argsort(lengths[block], kind="stable")]
            block_batches = [block[i : i + batch_size] for i in range(0, len(block), batch_size)]
            batches += [block_batches[i] for i in rng.permutation(len(block_batches))]
    return batches[:steps]


class UnitIndex:
    """Finds the rows of units. The rows of a unit are adjacent."""

    def __init__(self, features: Features) -> None:
        self.num_units = int(features.unit[-1]) + 1 if len(features) else 0
        self.starts = np.searchsorted(features.unit, np.arange(self.num_units + 1))

    def rows(self, units: np.ndarray) -> np.ndarray:
        """Row numbers of some units, in the order of the units."""
        starts = self.starts[units]
        sizes = self.starts[units + 1] - starts
        before = np.cumsum(sizes) - sizes
        return np.repeat(starts - before, sizes) + np.arange(sizes.sum())


def collate(features: Features, rows: np.ndarray, pad_id: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Make padded tensors of some rows; padding is on the right, to the longest row.

    Returns:
        inputs: `input_ids`, `attention_mask` (and `token_type_ids`), each (rows, tokens); `lengths`, (rows,);
        targets: (rows,) for one value per row; (rows, tokens), padded with IGNORE_INDEX, for one value per token; `output`,
            (rows, width of the output), where rows have decoder labels; and `unit`, (rows,).
    """
    input_ids = features.input_ids.to_padded(rows, pad_id)
    width, lengths = input_ids.shape[1], features.input_ids.lengths[rows]
    attention_mask = (np.arange(width) < lengths[:, None]).astype(np.int64)
    arrays = {"input_ids": input_ids, "attention_mask": attention_mask, LENGTHS: lengths}
    inputs = {name: torch.from_numpy(array) for name, array in arrays.items()}
    if features.token_type_ids is not None:
        inputs["token_type_ids"] = torch.from_numpy(features.token_type_ids.to_padded(rows, 0, width))
    return inputs, collate_targets(features, rows, width)


def collate_targets(features: Features, rows: np.ndarray, width: int) -> dict[str, Tensor]:
    """The targets that `collate` returns; those of tokens are padded to `width`."""
    targets = {"unit": torch.from_numpy(features.unit[rows].astype(np.int64))}
    for name, values in features.targets.items():
        selected = values.to_padded(rows, IGNORE_INDEX, width) if isinstance(values, Ragged) else values[rows]
        targets[name] = torch.from_numpy(selected)
    if features.decoder_labels is not None:
        targets[OUTPUT] = torch.from_numpy(features.decoder_labels.to_padded(rows, IGNORE_INDEX))
    return targets


def split_into_micro_batches(units: np.ndarray, lengths: np.ndarray, budget: int, packed: bool) -> list[np.ndarray]:
    """Split a batch into micro-batches. Returns the positions of each one's rows; rows of a unit stay together.

    Args:
        units: (rows,) unit of each row; rows of a unit are adjacent.
        lengths: (rows,) tokens.
        budget: most tokens of a micro-batch; a larger unit gets a micro-batch alone.
        packed: rows have no padding, so only `budget` splits them. Otherwise, rows of similar length stay together.
    """
    starts = np.flatnonzero(np.diff(units, prepend=units[0] - 1))
    rows = np.split(np.arange(len(units)), starts[1:])
    longest, tokens = np.maximum.reduceat(lengths, starts), np.add.reduceat(lengths, starts)
    batches: list[list[int]] = []
    num_tokens = 0
    for unit in np.argsort(-longest, kind="stable").tolist():
        longest_in_batch = longest[batches[-1][0] if batches else unit]
        cost = tokens[unit] if packed else len(rows[unit]) * longest_in_batch
        is_much_shorter = not packed and 2 * longest[unit] < longest_in_batch  # would be mostly padding
        if not batches or is_much_shorter or num_tokens + cost > budget:
            batches.append([])
            num_tokens, cost = 0, tokens[unit] if packed else len(rows[unit]) * longest[unit]
        batches[-1].append(unit)
        num_tokens += cost
    return [np.concatenate([rows[unit] for unit in sorted(batch)]) for batch in batches]
