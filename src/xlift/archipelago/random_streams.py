"""Named random streams: the same name gives the same stream on every machine."""

from __future__ import annotations

import random
from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

Item = TypeVar("Item")


def random_stream(*name: object) -> random.Random:
    """Make a random generator seeded by its arguments, e.g. `random_stream("nli", "train", seed, index)`."""
    digest = blake2b("\x1f".join(map(str, name)).encode(), digest_size=8).digest()
    return random.Random(int.from_bytes(digest, "big"))


def sample_zipf(rng: random.Random, items: Sequence[Item], exponent: float = 1.0) -> Item:
    """Sample one item; earlier ones are likelier: P(rank r) falls as r ** -exponent."""
    # Inverse of the continuous distribution: approximate ranks, but fast.
    n = len(items)
    u = rng.random()
    rank = (n + 1) ** u if exponent == 1.0 else (1 + u * ((n + 1) ** (1 - exponent) - 1)) ** (1 / (1 - exponent))
    return items[min(int(rank), n) - 1]
