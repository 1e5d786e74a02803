"""How many random cases and kills the tests try: the profile, from the environment variable XLIFT_TEST_PROFILE.

`fast` is the default, `full` is that of CI and `make test-all`, and `fuzz` is that of `make fuzz`.
"""

from __future__ import annotations

import os

PROFILES = ("fast", "full", "fuzz")
PROFILE = os.environ.get("XLIFT_TEST_PROFILE") or ("full" if os.environ.get("CI") else "fast")
if PROFILE not in PROFILES:
    raise ValueError(f"XLIFT_TEST_PROFILE is {PROFILE!r}, which is none of: {' '.join(PROFILES)}")


def by_profile(fast: int, full: int, fuzz: int | None = None) -> int:
    """A number for each profile. Without `fuzz`, that profile uses the number of `full`."""
    return {"fast": fast, "full": full, "fuzz": full if fuzz is None else fuzz}[PROFILE]


def scaled(full: int) -> int:
    """A number of random cases: `full` in that profile, a quarter by default, and fifty times as many in `fuzz`."""
    return by_profile(max(full // 4, 10), full, 50 * full)
