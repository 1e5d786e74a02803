"""Constrained decoding: a generated answer consists of one option of each slot, slot after slot, then the end token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Slots = Sequence[Sequence[Sequence[int]]]
"""For each slot its options, each one token or more."""
_END = -1
"""Key in a trie node where an option ends. (No token has a negative id.)"""


class AnswerConstraint:
    """Computes which tokens may come next. It keeps no state, so many rows can share it."""

    def __init__(self, slots: Slots, stop_ids: Sequence[int]) -> None:
        """Args: stop_ids: tokens that end an answer."""
        self.stop_ids = list(stop_ids)
        self.roots = [_build_trie(options) for options in slots]

    def allowed_tokens(self, generated: Sequence[int]) -> list[int]:
        """The tokens that may follow `generated`: the stop tokens where it is complete or violates the constraint."""
        states: list[tuple[int, dict[int, Any]]] = [(0, self.roots[0])] if self.roots else []
        is_complete = not self.roots
        for token in generated:
            states, is_complete = self._advance(states, int(token))
        allowed = {token for _, node in states for token in node if token != _END}
        return sorted(allowed | set(self.stop_ids if is_complete else ())) or self.stop_ids

    def _advance(self, states: list[tuple[int, dict[int, Any]]], token: int) -> tuple[list[Any], bool]:
        """The states after a token (several where options share a prefix), and whether the answer may end there."""
        reached, is_complete = [], False
        for slot, node in states:
            if token not in node:
                continue
            child = node[token]
            reached.append((slot, child))
            if _END in child:
                if slot + 1 < len(self.roots):
                    reached.append((slot + 1, self.roots[slot + 1]))
                else:
                    is_complete = True
        return reached, is_complete


def _build_trie(options: Sequence[Sequence[int]]) -> dict[int, Any]:
    root: dict[int, Any] = {}
    for option in options:
        node = root
        for token in option:
            node = node.setdefault(int(token), {})
        node[_END] = {}
    return root
