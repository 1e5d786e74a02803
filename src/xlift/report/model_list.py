"""`xlift models`: print the profiles of named models."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import groupby
from typing import Any

from xlift.model_profiles import Limit, ModelProfile, all_profiles, get_profile
from xlift.model_shape import parse_config
from xlift.report.catalogue import grid
from xlift.report.fitting_table import hidden_note
from xlift.units import format_gigabytes

COLUMNS = (("model", 0), ("weights", 50), ("download", 60), ("languages", 70), ("licence", 80), ("files", 108))
"""Heading, and minimum terminal width to show it."""
KINDS = {"encoder": "encoder", "seq2seq": "encoder-decoder model", "decoder": "decoder"}
"""Family -> its name in texts, in the order of the list."""
OUTPUTS = {"sequence": "texts", "token": "tags", "span": "spans", "choice": "choices"}
"""Kind of head -> what it answers."""
GATED = "*"


def print_list(console: Any, as_json: bool) -> None:
    """Print one line per model, in groups. Narrow terminals show fewer columns."""
    kinds = list(KINDS)
    profiles = sorted(all_profiles().values(), key=lambda profile: kinds.index(parse_config(profile.config).family))
    if as_json:
        print(json.dumps([_facts(profile) for profile in profiles], indent=1, ensure_ascii=False))
        return
    from rich.table import Table

    shown = [heading for heading, width in COLUMNS if console.width >= width]
    hidden = [heading for heading, _ in COLUMNS if heading not in shown]
    width = max(len(profile.name) for profile in profiles)
    for family, members in groupby(profiles, key=lambda profile: profile.family):
        console.print(family, style="italic", highlight=False)
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
        for heading in shown:
            table.add_column(
                heading, no_wrap=True, min_width={"model": width, "licence": 13}.get(heading),
                justify="right" if heading in ("weights", "download", "languages") else "left",
            )  # fmt: skip
        for profile in members:
            cells = _cells(profile)
            table.add_row(*(cells[heading] for heading in shown))
        console.print(table)
        console.print()
    if "licence" in shown:
        console.print(f"{GATED} The Hub asks for an agreement before the download.", highlight=False)
    console.print(
        "`xlift models NAME` shows one model in full. Models without a profile can be used too.", highlight=False
    )
    if note := hidden_note(hidden, "xlift models --json"):
        console.print(note, highlight=False)


def print_model(name: str, console: Any, as_json: bool) -> None:
    """Print the profile of a model."""
    profile = get_profile(name)
    if as_json:
        print(json.dumps(_facts(profile), indent=1, ensure_ascii=False))
        return
    sources: list[str] = []
    console.print(grid(_page(profile, sources)))
    console.print("\nsources", style="bold", highlight=False)
    for number, source in enumerate(sources, 1):
        console.print(f"[{number}] {source}", markup=False, highlight=False, soft_wrap=True)  # to be copied as it is


def _cells(profile: ModelProfile) -> dict[str, str]:
    return {
        "model": profile.name,
        "weights": short_count(profile.parameters or parse_config(profile.config).num_parameters),
        "download": format_gigabytes(download_bytes(profile)),
        "languages": _language_count(profile),
        "licence": profile.licence + (GATED if profile.gated else ""),
        "files": "converted once" if profile.needs_conversion else "load",
    }


def _page(profile: ModelProfile, sources: list[str]) -> dict[str, str]:
    """Heading -> text. Adds the addresses that the texts name by number to `sources`."""
    shape, languages = parse_config(profile.config), profile.languages

    def number(source: str) -> str:
        if source not in sources:
            sources.append(source)
        return f"[{sources.index(source) + 1}]"

    decoder = f" and {shape.num_decoder_layers} of the decoder" if shape.num_decoder_layers else ""
    sizes = (
        f"width {shape.hidden_size:,}, {shape.num_heads} heads, {shape.vocab_size:,} tokens {number(profile.source)}"
    )
    weights = f"{shape.num_parameters:,} by this shape"
    if profile.parameters:
        weights += f"; published: {profile.parameters:,} {number(profile.parameters_source)}"
    agreement = {
        True: "; the Hub asks for an agreement before the download",
        False: "",
        None: "; whether the Hub asks for an agreement is not known",
    }
    codes = " ".join(languages.codes)
    count = _language_count(profile) + (":" if codes else "")
    page = {
        "name": profile.name,
        "family": f"{profile.family}: {KINDS[shape.family]}, type {profile.model_type}",
        "shape": f"{shape.num_layers} layers{decoder}, {sizes}",
        "weights": weights,
        "download": f"about {format_gigabytes(download_bytes(profile))}, computed from the shape and {profile.dtype}",
        "files": _files(profile),
        "licence": profile.licence + agreement[profile.gated],
        "languages": " ".join(filter(None, (count, codes, languages.note, number(languages.source)))),
        "heads": _heads(profile),
        "training": f"{_yaml(profile.training)} {number(profile.training_source)}" if profile.training else "",
        "limits": "\n".join(f"- {limit.text} {number(limit.source)}" for limit in profile.limits),
        "use": f"models: [{profile.name}]",
    }
    return {heading: text for heading, text in page.items() if text}


def _files(profile: ModelProfile) -> str:
    weights = {"safetensors": "safetensors", "pickled": "pickled weights (.bin)"}[profile.weights]
    tokenizers = {
        "tokenizer.json": "tokenizer.json",
        "sentencepiece": "a SentencePiece model",
        "bytes": "no tokenizer file, since it reads bytes",
    }
    after = "; xlift converts them once" if profile.needs_conversion else ""
    return f"{weights}, {tokenizers[profile.tokenizer]}{after}"


def _language_count(profile: ModelProfile) -> str:
    languages = profile.languages
    return "" if languages.count is None else f"{languages.count}{'+' if languages.at_least else ''}"


def _heads(profile: ModelProfile) -> str:
    classes = [f"{OUTPUTS[kind]}: {name}" for kind, name in profile.heads.items()]
    return "\n".join([profile.head_note, *classes])


def _yaml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(item)}" for key, item in value.items()) + "}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def short_count(parameters: int) -> str:
    return f"{parameters / 1e9:.1f}B" if parameters >= 999.5e6 else f"{parameters / 1e6:.0f}M"


def download_bytes(profile: ModelProfile) -> int:
    return parse_config(profile.config).stored_parameters * profile.bytes_per_weight


def _facts(profile: ModelProfile) -> dict[str, Any]:
    shape = parse_config(profile.config)
    facts = asdict(profile) | {
        "kind": shape.family,
        "computed_parameters": shape.num_parameters,
        "computed_download_bytes": download_bytes(profile),
        "limits": [_limit(limit) for limit in profile.limits],
    }
    return {key: value for key, value in facts.items() if value not in (None, "", {}, [], ())}


def _limit(limit: Limit) -> dict[str, Any]:
    return {key: value for key, value in asdict(limit).items() if value}
