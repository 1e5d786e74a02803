"""No model that the docs name fails at the door: each has a layout that goes through its stages."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.published import LAYOUTS

from xlift.model_profiles import all_profiles, find_profile

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("studies/**/*.yaml")),
         *sorted(ROOT.glob("src/xlift/shipped/*.yaml"))]  # fmt: skip
OWNERS = {name.partition("/")[0] for name in (*LAYOUTS, *all_profiles())}
HUB_ID = re.compile(rf"(?<![\w/.@-])(?:{'|'.join(sorted(OWNERS))})/[\w.-]*\w")
DATA_SETS = (
    "google/xtreme",
    "google/IndicGenBench",
    "facebook/xnli",
    "facebook/flores",
    "facebook/mlqa",
    "facebook/belebele",
)
"""Names that begin as data sets of these owners do."""


def test_every_profile_has_a_row_with_its_layout():
    rows = set()
    for layout in LAYOUTS.values():
        names = layout.files()
        tokenizer = "tokenizer.json" if "tokenizer.json" in names else "sentencepiece"
        if "ByT5" in str(layout.config.get("tokenizer_class")):
            tokenizer = "bytes"
        rows.add((layout.config["model_type"], "pickled" if layout.weights == "bin" else layout.weights, tokenizer))
    missing = [
        name for name, profile in all_profiles().items()
        if (profile.model_type, profile.weights, profile.tokenizer) not in rows
    ]  # fmt: skip
    assert not missing


def test_every_model_that_a_page_names_has_a_profile_or_a_row():
    found = {name for page in PAGES for name in HUB_ID.findall(page.read_text(encoding="utf-8"))}
    assert "FacebookAI/xlm-roberta-base" in found
    unknown = {
        name for name in found if name not in LAYOUTS and not find_profile(name) and not name.startswith(DATA_SETS)
    }
    assert not unknown
