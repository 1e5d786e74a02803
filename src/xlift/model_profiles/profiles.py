"""Reads the profiles of named models from `families/*.yaml`, one file for each family of names.

A profile has published facts only. What is not known is absent: None, or an empty tuple or mapping. `shared` in a file
holds for all of its models. A model adds to the config and to the limits, and replaces everything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from xlift.errors import UserError, did_you_mean

FAMILIES = Path(__file__).parent / "families"
Weights = Literal["safetensors", "pickled"]
Tokenizer = Literal["tokenizer.json", "sentencepiece", "bytes"]
BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
"""Type of the published weights -> bytes of one weight."""


@dataclass(frozen=True)
class Languages:
    """The languages of the pretraining text."""

    count: int | None = None
    at_least: bool = False
    """The source says 'over' this count."""
    codes: tuple[str, ...] = ()
    """Empty where no list is known."""
    codes_of: str = ""
    """Hub id of a model with the same list, from whose profile the codes are."""
    partial: bool = False
    """The list names only some of the languages."""
    note: str = ""
    source: str = ""


@dataclass(frozen=True)
class Limit:
    """Something that a model cannot do. A plan warns of it where a study asks for it; without any condition it is only
    shown."""

    text: str
    source: str
    """Address of a page that says so."""
    formats: tuple[str, ...] = ()
    """Holds for tasks of these formats only; empty: of all."""
    mode: Literal["", "head", "text"] = ""
    """Holds in this mode only."""
    precision: tuple[str, ...] = ()
    """Holds in this precision only."""

    refuse: bool = False
    """A plan refuses it instead of a warning."""
    fix: str = ""
    """What to do, where it is refused."""

    @property
    def is_conditional(self) -> bool:
        return bool(self.formats or self.mode or self.precision)


@dataclass(frozen=True)
class ModelProfile:
    name: str
    """Hub id."""
    family: str
    source: str
    """Address of a page with the values of `config`."""
    config: Mapping[str, Any]
    """Values of the published config.json that give its shape (`model_shape.parse_config`)."""
    weights: Weights
    """Format of the weights on the main branch."""
    tokenizer: Tokenizer
    """File of the tokenizer on the main branch; 'bytes': none, since each byte is a token."""
    dtype: Literal["float32", "float16", "bfloat16"]
    """Type of the published weights. xlift trains in float32 or bfloat16, whatever it is."""
    licence: str
    citation: str = ""
    """Key of the BibTeX entry of its publication; '' if none is known."""
    gated: bool | None = None
    """Whether the Hub asks for an agreement before the download; None: not known."""
    parameters: int | None = None
    """Published count of the weights, rounded where the source rounds it. None: not published."""
    parameters_source: str = ""
    languages: Languages = Languages()
    training: Mapping[str, Any] = field(default_factory=dict)
    """Published settings for training it, as keys of `training:` in a study; empty: none are known."""
    training_source: str = ""
    heads: Mapping[str, str] = field(default_factory=dict)
    """Output ('sequence', 'token', 'span', 'choice') -> its class in transformers; a missing one has no class."""
    head_note: str = ""
    limits: tuple[Limit, ...] = ()

    @property
    def model_type(self) -> str:
        return self.config["model_type"]

    @property
    def needs_conversion(self) -> bool:
        return self.weights != "safetensors" or self.tokenizer != "tokenizer.json"

    @property
    def bytes_per_weight(self) -> int:
        return BYTES[self.dtype]


@cache
def all_profiles() -> Mapping[str, ModelProfile]:
    """Hub id -> profile, in the order of the files."""
    profiles = {each.name: each for path in sorted(FAMILIES.glob("*.yaml")) for each in _read_family(path)}
    for profile in profiles.values():
        if other := profile.languages.codes_of:
            languages = replace(profile.languages, codes=profiles[other].languages.codes)
            profiles[profile.name] = replace(profile, languages=languages)
    return profiles


def find_profile(name: str) -> ModelProfile | None:
    """The profile of a Hub id, in any letter case; None if there is none. A revision after '@' does not count."""
    return _by_folded_name().get(name.partition("@")[0].casefold())


def get_profile(name: str) -> ModelProfile:
    """The profile of a Hub id, or of the part of it after the slash.

    Raises:
        UserError: no profile has this name.
    """
    profile = find_profile(name)
    if profile is None:
        ends = [found for found in all_profiles().values() if found.name.casefold().endswith(f"/{name.casefold()}")]
        profile = ends[0] if len(ends) == 1 else None
    if profile is None:
        names = (*all_profiles(), *(name.partition("/")[2] for name in all_profiles()))
        raise UserError(
            f"no profile of a model '{name}'",
            fix=f"{did_you_mean(name, names)}`xlift models` lists the profiles. Models without one can be used too.",
        )
    return profile


@cache
def _by_folded_name() -> Mapping[str, ModelProfile]:
    return {name.casefold(): profile for name, profile in all_profiles().items()}


def _read_family(path: Path) -> list[ModelProfile]:
    import yaml

    content = yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    shared = content["shared"]
    return [
        _profile(name, content["family"], {"source": content["source"], **shared, **own}, shared, own)
        for name, own in content["models"].items()
    ]


def _profile(
    name: str, family: str, values: dict[str, Any], shared: dict[str, Any], own: dict[str, Any]
) -> ModelProfile:
    config = shared["config"] | own.get("config", {})
    if "text_config" in config:  # its sizes are those of its text model
        config = {key: value for key, value in config.items() if key in ("model_type", "text_config")}
    limits = [*shared.get("limits", ()), *own.get("limits", ())]
    languages = values.get("languages", {})
    return ModelProfile(
        **values
        | {
            "name": name,
            "family": family,
            "config": config,
            "languages": Languages(**languages | {"codes": tuple(languages.get("codes", "").split())}),
            "limits": tuple(map(_limit, limits)),
        }
    )


def _limit(values: dict[str, Any]) -> Limit:
    lists: dict[str, Any] = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    return Limit(**values | lists)
