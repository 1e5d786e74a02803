"""Memory that a step frees stays with the process, so that the next step need not ask the system for it again.

glibc maps large blocks afresh each time, and the system clears every page of them: on a CPU that was 7% of an XLM-R step
(docs/log.md). Elsewhere than on glibc nothing is done.
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
"""Of mallopt(3)."""


def keep_freed_memory() -> bool:
    """From now on, in this process. Whether there was something to set."""
    libc = _glibc()
    if libc is None:
        return False
    settings = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 2**26}
    return all(libc.mallopt(name, value) == 1 for name, value in settings.items())


def give_back_freed_memory() -> None:
    """Once, now: after a stage, whose memory nobody needs any more."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None
