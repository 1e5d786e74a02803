import io

import pytest

from xlift import processor


@pytest.mark.parametrize(
    ("vendor", "flags", "fast"),
    [
        ("AuthenticAMD", "avx2 avx512f avx512_bf16", True),
        ("AuthenticAMD", "avx2 avx512f", False),
        ("GenuineIntel", "avx512_bf16 amx_bf16 amx_tile", True),
        ("GenuineIntel", "avx512_bf16 avx512_fp16", False),
        ("", "", False),
    ],
)
def test_bf16_is_fast_with_amx_and_with_avx512_bf16_of_amd(
    monkeypatch: pytest.MonkeyPatch, vendor: str, flags: str, fast: bool
) -> None:
    text = f"processor\t: 0\nvendor_id\t: {vendor}\nmodel name\t: Made Up\nflags\t\t: fpu {flags}\n"
    monkeypatch.setattr("builtins.open", lambda *_, **__: io.StringIO(text))
    processor.read_cpuinfo.cache_clear()
    try:
        assert processor.has_fast_bf16() is fast
        assert processor.processor_name() == "Made Up"
    finally:
        processor.read_cpuinfo.cache_clear()
