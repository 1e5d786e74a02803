"""Training that went wrong, as the manifests of a store tell it: what a score may rest on without showing it."""

from __future__ import annotations

from collections.abc import Iterable

from xlift.studies.store import Store

RETRIED = "retried"
"""A stage collapsed or diverged, and a later attempt with a lower rate did not."""
COLLAPSED = "collapsed"
"""The last attempt of a stage collapsed too: its model knew no more than a constant answer."""
_ORDER = ("", RETRIED, COLLAPSED)


def worst(troubles: Iterable[str]) -> str:
    """'' where there is none."""
    return max(troubles, key=_ORDER.index, default="")


class Troubles:
    """The trouble behind products of a store, each manifest read once."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.known: dict[str, str] = {}

    def of(self, key: str) -> str:
        """The worst of a product and all that it was made from; parents that are not in the store any more are passed over.

        Raises:
            UserError: a manifest is damaged.
        """
        if key not in self.known:
            self.known[key] = self._find(key)
        return self.known[key]

    def _find(self, key: str) -> str:
        if not self.store.has(key):
            return ""
        manifest = self.store.open(key, verify=False).manifest
        numbers = manifest["numbers"]
        own = COLLAPSED if numbers.get("collapsed") else RETRIED if (numbers.get("attempts") or 1) > 1 else ""
        return worst([own, *(self.of(parent) for parent in manifest["parents"])])
