"""A small artifact for tests of the store."""

from __future__ import annotations

import hashlib
from pathlib import Path

from xlift.studies.store import Store

KEY = hashlib.sha256(b"a job").hexdigest()
SPEC = {"kind": "predict", "seed": 1}


def make(store: Store, key: str = KEY, content: bytes = b"0123456789") -> Path:
    with store.write(key, "predict", SPEC) as draft:
        (draft.folder / "weights.safetensors").write_bytes(content)
        (draft.folder / "scores.json").write_bytes(b"[]")
    return store.path(key) / "weights.safetensors"
