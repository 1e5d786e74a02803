"""Audit the packages of this environment.

    python .ci/audit.py PIP_AUDIT BILL

BILL becomes a bill of materials (CycloneDX 1.6) with every installed package. PIP_AUDIT is the program pip-audit. Its service answers for
each package whether an advisory names its version. The exit code is 1 if one does, or if pip-audit fails by itself. Where the service
cannot be reached, or knows none of the packages, nothing is audited: this is said, and the exit code is 0.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path
from typing import Any

from xlift.units import count_noun

NOT_AUDITED = "The advisories cannot be reached: not audited"
_UNREACHABLE = re.compile(
    r"connect|timed? ?out|resolve|unreachable|proxy|max retries|ssl|service unavailable|\b50[234]\b", re.IGNORECASE
)
OWN = "xlift"


def installed() -> dict[str, str]:
    """Name (as on PyPI) -> version of every installed package."""
    packages = {
        re.sub(r"[-_.]+", "-", each.metadata["Name"]).lower(): each.version for each in metadata.distributions()
    }
    return dict(sorted(packages.items()))


def make_bill(packages: dict[str, str]) -> dict[str, Any]:
    """A bill of materials in the form of CycloneDX. Equal packages give equal bills."""
    components = [
        {"type": "library", "bom-ref": f"{name}=={version}", "name": name, "version": version, "purl": f"pkg:pypi/{name}@{version}"}
        for name, version in packages.items() if name != OWN
    ]  # fmt: skip
    about = {"component": {"type": "application", "bom-ref": OWN, "name": OWN, "version": packages.get(OWN, "0")}}
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "metadata": about, "components": components}


def judge(out: str, err: str, packages: dict[str, str]) -> tuple[int, str]:
    """Exit code and message for the output of pip-audit."""
    last_line = (err.strip().splitlines() or ["no output"])[-1][:300]
    try:
        dependencies = json.loads(out)["dependencies"]
    except (ValueError, KeyError, TypeError):
        if _UNREACHABLE.search(err):
            return 0, f"{NOT_AUDITED}. {last_line}"
        return 1, f"pip-audit failed: {last_line}"
    audited = {each["name"] for each in dependencies if "skip_reason" not in each}
    if not audited:
        return 0, f"{NOT_AUDITED}. The service knows none of the {len(packages)} packages."
    lines = [
        f"{each['name']} {each['version']}: {found['id']}, corrected in {', '.join(found['fix_versions']) or 'no version'}"
        for each in dependencies for found in each.get("vulns", ())
    ]  # fmt: skip
    left_out = sorted(packages.keys() - audited - {OWN})
    lines.append(f"{count_noun(len(audited), 'package')} audited" + (f"; not audited: {', '.join(left_out)}" if left_out else ""))
    return int(len(lines) > 1), "\n".join(lines)


def main() -> int:
    tool, bill = sys.argv[1], Path(sys.argv[2])
    packages = installed()
    bill.parent.mkdir(parents=True, exist_ok=True)
    bill.write_text(json.dumps(make_bill(packages), indent=1) + "\n", encoding="utf-8")
    print(f"{bill}: {len(packages)} packages")
    command = [
        tool,
        "--path",
        sysconfig.get_path("purelib"),
        "--format",
        "json",
        "--progress-spinner",
        "off",
        "--timeout",
        "5",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        print(f"{NOT_AUDITED}. No answer in 300 s.")
        return 0
    code, message = judge(done.stdout, done.stderr, packages)
    print(message)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
