"""`make audit`: its line about the answers of pip-audit. It never reports an audit that did not happen."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

spec = importlib.util.spec_from_file_location("audit", Path(__file__).parents[1] / ".ci" / "audit.py")
assert spec is not None
assert spec.loader is not None
audit: Any = importlib.util.module_from_spec(spec)
spec.loader.exec_module(audit)

PACKAGES = {"numpy": "2.4.6", "torch": "2.13.0", "xlift": "0.1.0"}


def package(name: str, *found: str) -> dict[str, Any]:
    return {"name": name, "version": "1.0", "vulns": [{"id": id, "fix_versions": ["1.1"]} for id in found]}


def skipped(name: str) -> dict[str, Any]:
    return {"name": name, "skip_reason": "Dependency not found on PyPI and could not be audited"}


def answer(*dependencies: dict[str, Any]) -> str:
    return json.dumps({"dependencies": dependencies})


@pytest.mark.parametrize(
    ("out", "err", "code", "message"),
    [
        (answer(package("numpy"), package("torch"), skipped("xlift")), "", 0, "2 packages audited"),
        (answer(package("numpy"), skipped("torch")), "", 0, "1 package audited; not audited: torch"),
        (answer(package("numpy")), "", 0, "1 package audited; not audited: torch"),
        (
            answer(package("numpy", "PYSEC-1"), package("torch")),
            "",
            1,
            "numpy 1.0: PYSEC-1, corrected in 1.1\n2 packages audited",
        ),
        # a mirror that has no advisories: pip-audit itself says "No known vulnerabilities found" and exits with 0
        (
            answer(skipped("numpy"), skipped("torch")),
            "No known vulnerabilities found",
            0,
            f"{audit.NOT_AUDITED}. The service knows none of the 3 packages.",
        ),
        (
            answer(),
            "No known vulnerabilities found",
            0,
            f"{audit.NOT_AUDITED}. The service knows none of the 3 packages.",
        ),
        (
            "",
            "ERROR:pip_audit._cli:Failed to connect to PyPI",
            0,
            f"{audit.NOT_AUDITED}. ERROR:pip_audit._cli:Failed to connect to PyPI",
        ),
        (
            "",
            "requests.exceptions.ReadTimeout: Read timed out.",
            0,
            f"{audit.NOT_AUDITED}. requests.exceptions.ReadTimeout: Read timed out.",
        ),
        ("", "Traceback\nTypeError: x", 1, "pip-audit failed: TypeError: x"),
        ("{}", "", 1, "pip-audit failed: no output"),
        ("null", "", 1, "pip-audit failed: no output"),
    ],
)
def test_the_line_about_the_answer(out: str, err: str, code: int, message: str):
    assert audit.judge(out, err, PACKAGES) == (code, message)


def test_the_bill_of_materials_lists_what_is_installed():
    bill = audit.make_bill(audit.installed())
    assert (bill["bomFormat"], bill["specVersion"], bill["metadata"]["component"]["name"]) == (
        "CycloneDX",
        "1.6",
        "xlift",
    )
    found = {component["name"]: component for component in bill["components"]}
    assert {"torch", "numpy", "pyyaml"} <= found.keys()
    assert "xlift" not in found
    assert found["numpy"]["purl"] == f"pkg:pypi/numpy@{found['numpy']['version']}"
    assert len({component["bom-ref"] for component in bill["components"]}) == len(found)
