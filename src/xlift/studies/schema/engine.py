"""The engine settings of one model of a study."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from xlift.recipes import Engine, Settings, Strategy


class EnginePatch(Settings):
    """Any part of the engine settings but the device, which all jobs of a run share; missing parts come from the study's."""

    token_budget: int | None = Field(default=None, ge=64)
    compact_vocabulary: Literal["auto", "off"] | None = None
    threads: int | None = Field(default=None, ge=1)
    devices: int | None = Field(default=None, ge=1)
    strategy: Strategy | None = None
    gradient_checkpointing: bool | None = None
    offload: bool | None = None


def make_engine(engine: Engine, patch: EnginePatch) -> Engine:
    """The study's engine with the settings of a model. Raises pydantic's ValidationError if they do not fit together."""
    given = patch.model_dump(exclude_none=True)
    return Engine(**{**engine.model_dump(), **given}) if given else engine
