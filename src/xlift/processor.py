"""What the system reports about the processor."""

from __future__ import annotations

import platform
from functools import lru_cache


def has_fast_bf16() -> bool:
    """Whether products in bf16 are faster than in fp32: processors with AMX, and those of AMD with AVX512-BF16.

    Measured in xlift (docs/benchmarks.md, docs/log.md): 2.4 times as fast on an AMD EPYC with AVX512-BF16, half as fast on an Intel
    Xeon with AVX512-BF16 and without AMX. False where the system does not report the flags of its processor.
    """
    flags = set(read_cpuinfo("flags").split())
    return "amx_bf16" in flags or ("avx512_bf16" in flags and read_cpuinfo("vendor_id") == "AuthenticAMD")


def processor_name() -> str:
    return read_cpuinfo("model name") or platform.processor() or platform.machine()


@lru_cache(maxsize=8)
def read_cpuinfo(name: str) -> str:
    """A field of the first processor in /proc/cpuinfo; empty where there is none."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                key, _, value = line.partition(":")
                if key.strip() == name:
                    return value.strip()
    except OSError:
        pass
    return ""
