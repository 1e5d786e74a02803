"""Published models that are not on this machine: what a plan needs to know of them, from their profiles."""

from __future__ import annotations

from pathlib import Path

from xlift import backbones, hub
from xlift.model_profiles import ModelProfile, find_profile
from xlift.model_shape import parse_config
from xlift.studies.missing import MissingModel


def find_published(name: str, base: Path) -> ModelProfile | None:
    """The profile of a model of the Hub whose files are not here; None for one that is here, and for one without a profile.

    Args:
        base: folder of the study, where a folder of this name precedes the Hub.
    """
    if name in backbones.SHIPPED or (base / name).exists() or Path(name).exists():
        return None
    profile = find_profile(name)
    return None if profile is None or hub.has_model(name) else profile


def missing_model(profile: ModelProfile) -> MissingModel:
    """The model as something to fetch."""
    count = parse_config(profile.config).stored_parameters
    terms = ["accept its terms on the Hub and log in"] if profile.gated else []
    terms += ["it is converted after the download"] if profile.needs_conversion else []
    return MissingModel(profile.name, count * profile.bytes_per_weight, profile.licence, "; ".join(terms))
