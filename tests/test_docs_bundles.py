"""The bundles in docs/studies, from which `make docs` makes pages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from tests.support.pages import ROOT

from xlift.studies.bundle import open_bundle

STUDIES = ROOT / "docs" / "studies"
BUNDLES = sorted(STUDIES.glob("*.zip"))


def test_committed_bundles_open_and_are_small():
    assert {"quickstart", "english_intermediate", "data_scale"} <= {bundle.stem for bundle in BUNDLES}
    for bundle in BUNDLES:
        opened = open_bundle(bundle)
        assert opened.study == bundle.stem
        assert {manifest["kind"] for manifest in opened.manifests.values()} <= {"pretrain", "train", "predict"}
        assert bundle.stat().st_size < 4_000_000


def test_pages_made_from_bundles_are_not_committed():
    for name in ("quickstart.html", "quickstart.md"):
        ignored = subprocess.run(["git", "check-ignore", "-q", f"docs/studies/{name}"], cwd=ROOT)
        assert ignored.returncode in (0, 128)  # 128: not in a repository


@pytest.mark.slow
def test_pages_of_studies_are_made_from_bundles(tmp_path):
    folder = shutil.copytree(STUDIES, tmp_path / "studies", ignore=shutil.ignore_patterns("*.html", "quick*.md"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    subprocess.run([sys.executable, str(folder / "make.py")], check=True, cwd=tmp_path, env=environment)
    page = (folder / "quickstart.md").read_text(encoding="utf-8")
    assert page.startswith("# Quickstart\n")
    assert "isle-names (shuffled)" in page
    assert (folder / "quickstart.html").stat().st_size > 50_000
