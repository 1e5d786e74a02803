"""How the steps of a stage are divided among the parts of its mixture. `recipes.Sampling` gives the formulas."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xlift.recipes import Recipe, Sampling, TextShare


def divide_steps(
    sizes: Sequence[float],
    recipe: Recipe,
    sampling: Sampling,
    weights: Sequence[float] = (),
    text_sizes: Sequence[float] = (),
    text_share: TextShare | None = None,
) -> list[np.ndarray]:
    """The exact number of steps of each part: (parts,) of the mixture, then (parts,) of the text if there is `text_share`. Each sum is a
    whole number: that of the proportional rule, and the steps of `text_share`.

    Args:
        sizes: units in each part of the mixture.
        weights: weight of each part of the mixture, for the sampling rule 'weights'.
        text_sizes: units in each part of the text, which come after those of the mixture.
        text_share: the text's share of all steps; it gets at least one step.
    """
    num_steps = recipe.count_steps([min(n, sampling.cap or n) for n in sizes])
    steps = [sampling_probabilities(sizes, sampling, weights) * num_steps]
    if text_share:
        smoothed = np.array(text_sizes, dtype=float) ** text_share.alpha
        steps.append(smoothed / smoothed.sum() * max(1, round(num_steps * text_share.share / (1 - text_share.share))))
    return steps


def sampling_probabilities(sizes: Sequence[float], sampling: Sampling, weights: Sequence[float] = ()) -> np.ndarray:
    """Probability of each part by the sampling rule, shape (parts,)."""
    capped_sizes = np.array([min(n, sampling.cap or n) for n in sizes], dtype=float)
    if sampling.rule == "weights":
        part_weights = np.array(weights, dtype=float)
        if part_weights.shape != capped_sizes.shape:
            raise ValueError(f"{len(part_weights)} weights for {len(capped_sizes)} parts")
    else:
        part_weights = capped_sizes ** {"uniform": 0.0, "temperature": 1 / sampling.temperature}.get(sampling.rule, 1.0)
    return part_weights / part_weights.sum()
